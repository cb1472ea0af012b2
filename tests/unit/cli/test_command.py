"""The command as a whole, without a server."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import EntryPoint, version
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from tests.support.command import Runner
from weft.cli._base import app as _app
from weft.cli._base import plugins as _plugins
from weft.cli._base.errors import EXIT_CODES
from weft.cli._base.plugins import Plugin
from weft.cli.commands import app

COMMANDS = {
    (): [
        "services",
        "workflows",
        "executions",
        "run",
        "call",
        "resolve",
        "health",
        "doctor",
        "version",
        "server",
    ],
    ("services",): ["list", "get", "register", "deregister", "activate", "deactivate"],
    ("workflows",): ["apply", "list", "get", "delete", "validate", "activate", "deactivate", "versions"],
    ("executions",): ["list", "get", "watch", "cancel", "history"],
}

LEAVES = [(*group, name) for group, names in COMMANDS.items() if group for name in names]
LEAVES += [(name,) for name in ("run", "call", "resolve", "health", "doctor", "version")]


@pytest.mark.parametrize("group", COMMANDS, ids=lambda group: "-".join(group) or "root")
def test_help_lists_every_command(group: tuple[str, ...]) -> None:
    """--help of a group names each of its commands."""
    result = Runner().invoke(app, [*group, "--help"])
    assert result.exit_code == 0
    for name in COMMANDS[group]:
        assert f" {name} " in result.stdout


def test_help_lists_the_exit_codes() -> None:
    """--help says what each exit code means."""
    shown = Runner().invoke(app, ["--help"]).stdout
    for code, meaning in EXIT_CODES.items():
        assert f"{int(code):>3}  {meaning}" in shown


@pytest.mark.parametrize("words", LEAVES, ids="-".join)
def test_every_command_has_help_with_an_example(words: tuple[str, ...]) -> None:
    """Each command says what it does, shows an example of itself, and takes the global options."""
    result = Runner().invoke(app, [*words, "--help"])
    assert result.exit_code == 0
    assert f"weft {' '.join(words)}" in result.stdout.split("Example")[1]
    assert "--output" in result.stdout
    assert "--target" in result.stdout


@pytest.mark.parametrize(
    "words",
    [
        *LEAVES,
        (),
        ("services",),
        ("server",),
        ("admin",),
        ("admin", "verify"),
        ("admin", "executions", "adopt"),
    ],
    ids=lambda it: "-".join(it) or "root",
)
def test_help_has_no_noise(words: tuple[str, ...]) -> None:
    """A flag has no type, what is needed has no braces, and what is chosen from is listed."""
    shown = Runner(env={"COLUMNS": "120"}).invoke(app, [*words, "--help"], prog_name="weft").stdout
    assert "<bool>" not in shown
    assert not re.search(r"Usage:.*[{}]|\[\[", shown)
    if words == ("server",):
        assert "<debug|info|warning|" in shown
        assert "second" in shown  # what another signal does
    if words == ("run",):
        assert "Usage: weft run [OPTIONS] WORKFLOW" in shown


def test_a_short_option_means_one_thing() -> None:
    """The same letter is not two options, depending on the command."""
    meanings: dict[str, set[str]] = {}
    for words in LEAVES:
        shown = Runner().invoke(app, [*words, "--help"]).stdout
        for long, short in re.findall(r"(--[a-z-]+) +(-[a-z]) ", shown):
            meanings.setdefault(short, set()).add(long)
    assert {short: longs for short, longs in meanings.items() if len(longs) > 1} == {}
    assert meanings["-w"] == {"--watch"}


def test_the_version_as_an_option() -> None:
    """--version is one line, as of any program."""
    result = Runner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"weft {version('weft')}\n")


@pytest.mark.parametrize("words", [["--help"], ["services", "list", "--help"], ["version"]])
def test_help_loads_neither_grpc_nor_the_server(words: list[str]) -> None:
    """The command starts fast, since what talks to a server is imported when it is needed."""
    code = (
        "import sys\nfrom weft.cli.main import main\ntry:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = ('grpc', 'google.protobuf', 'weft.client', 'weft.server', 'yaml', 'jsonschema_rs')\n"
        "print([name for name in heavy if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stderr.strip() == "[]"


def test_no_words_show_the_help() -> None:
    """The bare command helps, and tells a script that nothing was done."""
    result = Runner().invoke(app, [])
    assert result.exit_code == 2
    assert "Usage: weft" in result.stdout


@pytest.mark.parametrize(
    ("words", "message", "command"),
    [
        (["servces"], "No such command 'servces'. Did you mean 'services'", "weft"),
        (["sever"], "No such command 'sever'. Did you mean 'server'", "weft"),
        (["amdin"], "No such command 'amdin'. Did you mean 'admin'?", "weft"),
        (["qqq"], "No such command 'qqq'.", "weft"),
        (["services", "lst"], "No such command 'lst'. Did you mean 'list'?", "weft services"),
        (["services", "list", "--stat", "x"], "No such option: --stat", "weft services list"),
        (["services", "list", "--limit", "0"], "Invalid value for", "weft services list"),
        (["services", "list", "--state", "odd"], "Invalid value for", "weft services list"),
        (["services", "list", "-o", "xml"], "Invalid value for", "weft services list"),
        (["services", "get"], "Missing argument", "weft services get"),
        (["workflows", "apply"], "no file is named", "weft workflows apply"),
        (["--request-timeout", "soon", "health"], "is no duration", "weft"),
        (["--nonsense"], "No such option: --nonsense", "weft"),
        (["run", "x", "--input"], "requires an argument", "weft run"),
        (["admin", "verify", "--limit"], "requires an argument", "weft admin verify"),
        (["run", "x", "--context", "novalue"], "is not of the form KEY=VALUE", "weft run"),
    ],
)
def test_wrong_command_lines(words: list[str], message: str, command: str) -> None:
    """A wrong command line is one sentence, where to find help, and the exit code 2."""
    result = Runner().invoke(app, words, prog_name="weft")
    assert (result.exit_code, result.stdout) == (2, "")
    error, hint = result.stderr.splitlines()
    assert error.startswith("Error: ")
    assert message in error
    assert hint == f"Try `{command} --help`."


@pytest.mark.parametrize("words", [["-o", "json", "x"], ["services", "list", "--bad", "--output=json"]])
def test_wrong_command_lines_as_json(words: list[str]) -> None:
    """A program that asked for JSON gets JSON, even when the rest of the line is wrong."""
    result = Runner().invoke(app, words, prog_name="weft")
    assert result.exit_code == 2
    assert json.loads(result.stderr)["error"]["reason"] == "USAGE"


def test_version() -> None:
    """The versions of what matters are printed, for people and programs."""
    assert Runner().invoke(app, ["version"]).stdout.startswith("weft ")
    found = json.loads(Runner().invoke(app, ["version", "--output", "json"]).stdout)
    assert set(found) == {"weft", "grpcio", "protobuf", "python"}


def _hello(name: Annotated[str, typer.Option()] = "you") -> None:
    """Greet."""
    typer.echo(f"hello {name}")


def _with_plugin(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    entry_point = EntryPoint(name="hello", value=value, group=_plugins.GROUP)
    monkeypatch.setattr(_app, "find_plugins", lambda *_: {"hello": Plugin(entry_point)})


def test_a_command_of_another_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function named by an entry point is a command with its own options and help."""
    monkeypatch.setitem(sys.modules, "weft_hello", sys.modules[__name__])
    _with_plugin(monkeypatch, "weft_hello:_hello")
    assert CliRunner().invoke(app, ["hello", "--name", "Ada"]).stdout == "hello Ada\n"
    assert "Greet." in CliRunner().invoke(app, ["hello", "--help"]).stdout
    assert "Added by weft_hello." in CliRunner().invoke(app, ["--help"]).stdout


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("weft_missing:command", "No module named 'weft_missing'"),
        ("weft.cli.commands:missing", "has no attribute 'missing'"),
        ("weft.cli.commands:_EPILOG", "str is neither a function nor a typer.Typer"),
    ],
)
def test_a_broken_command_of_another_package(monkeypatch: pytest.MonkeyPatch, value: str, why: str) -> None:
    """A command that cannot be loaded says from where and why; the help still works."""
    _with_plugin(monkeypatch, value)
    assert CliRunner().invoke(app, ["--help"]).exit_code == 0
    result = CliRunner().invoke(app, ["hello"])
    assert result.exit_code == 70
    assert result.stderr.startswith(f"Error: the command 'hello' cannot be loaded from {value}: ")
    assert why in result.stderr
    assert "Traceback" not in result.stderr


def test_a_defect_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect of the command shows no traceback, unless it is asked for."""
    monkeypatch.setitem(sys.modules, "weft_hello", sys.modules[__name__])
    _with_plugin(monkeypatch, "weft_hello:_defect")
    result = CliRunner().invoke(app, ["hello"])
    assert result.exit_code == 70
    assert result.stderr.splitlines()[0] == "Error: ZeroDivisionError: oops"
    assert "Traceback" not in result.stderr
    assert "Traceback" in CliRunner().invoke(app, ["--debug", "hello"]).stderr
    found = json.loads(CliRunner().invoke(app, ["-o", "json", "hello"]).stderr)
    assert found["error"]["code"] == "INTERNAL"


def _defect() -> None:
    raise ZeroDivisionError("oops")
