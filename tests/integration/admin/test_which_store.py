"""Which store a command works on: the command line says it before the environment, and says one thing."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import Result

from tests.support.command import Runner
from weft.cli.commands import app

pytestmark = pytest.mark.integration

COMMANDS = {
    "backup": ("admin", "backup", "{file}"),
    "restore": ("admin", "restore", "{file}"),
    "verify": ("admin", "verify"),
    "migrate": ("admin", "migrate"),
    "accept-loss": ("admin", "accept-loss"),
    "adopt": ("admin", "executions", "adopt"),
    "server": ("server", "--listen", "127.0.0.1:0"),
}
NOBODY = "postgresql://weft@127.0.0.1:9/gone"
"""A database that no server listens for: who asks there says so."""
HEAD = b'{"format":"weft-backup/1"}\n'
EMPTY = HEAD + b'{"rows":{},"sha256":"%s"}\n' % hashlib.sha256(HEAD).hexdigest().encode()
"""A backup of nothing."""


class Which:
    """Runs commands whose store cannot be opened, so that what they say names it."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.backup = folder / "weft.backup"

    def harm(self) -> None:
        """Put something into the folder that is no database, for those who make one where there is none."""
        self.data.mkdir()
        (self.data / "weft.db").write_bytes(b"this is no database, and longer than a header of one " * 20)

    def said(self, name: str, *options: str, code: int = 1, **environ: str) -> str:
        """Return what a command says of the store that it cannot use."""
        if name == "restore":
            self.backup.write_bytes(EMPTY)
        if name in {"restore", "server"} and not self.data.exists():
            self.harm()
        words = [word.format(file=self.backup) for word in COMMANDS[name]]
        result: Result = Runner().invoke(app, [*words, *options], env=environ)
        assert (result.exit_code, result.stdout) == (code, ""), result.output
        return result.stderr


@pytest.fixture
def which(tmp_path: Path) -> Iterator[Which]:
    """Leaves the logging as it was, which the server sets up."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield Which(tmp_path)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_folder_on_the_command_line_wins_over_a_database_of_the_environment(
    which: Which, name: str
) -> None:
    """What is typed for this run is what is meant."""
    said = which.said(name, "--data-dir", str(which.data), WEFT_DATABASE_URL=NOBODY)
    assert str(which.data / "weft.db") in said
    assert "127.0.0.1:9" not in said


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_database_on_the_command_line_wins_over_a_folder_of_the_environment(
    which: Which, name: str
) -> None:
    """The other way round."""
    said = which.said(name, "--database-url", NOBODY, WEFT_DATA_DIR=str(which.data))
    assert "127.0.0.1:9/gone" in said


@pytest.mark.parametrize("name", ["verify", "server"])
def test_in_the_environment_a_database_wins(which: Which, name: str) -> None:
    """Where the command line says nothing."""
    said = which.said(name, WEFT_DATABASE_URL=NOBODY, WEFT_DATA_DIR=str(which.data))
    assert "127.0.0.1:9/gone" in said


@pytest.mark.parametrize("name", ["verify", "server"])
def test_an_empty_folder_is_refused(which: Which, name: str) -> None:
    """As of a variable of the shell that is not set: the current folder is not meant. One of ours is none."""
    for text in ("", " "):
        said = which.said(name, "--data-dir", text, code=2)
        assert said.splitlines()[0].endswith(": it is empty; write . for the current folder")
    said = which.said(name, "--database-url", NOBODY, WEFT_DATA_DIR="")
    assert "127.0.0.1:9/gone" in said


def test_an_empty_url_is_none(which: Which) -> None:
    """Also on the command line, where it takes back what the environment says."""
    said = which.said("verify", "--database-url", "", WEFT_DATABASE_URL=NOBODY, WEFT_DATA_DIR=str(which.data))
    assert str(which.data / "weft.db") in said


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_both_on_the_command_line_are_refused(which: Which, name: str) -> None:
    """In one line, before anything is touched."""
    said = which.said(name, "--data-dir", str(which.data), "--database-url", NOBODY, code=2)
    assert said == ("Error: --data-dir and --database-url name two stores: give one of them\n")


@pytest.mark.parametrize("name", ["backup", "server"])
def test_a_schema_without_its_database_is_refused(which: Which, name: str) -> None:
    """It would be ignored, and another store used than the one that is meant."""
    begin = "Error: --schema is of a PostgreSQL database: "
    typed = ["--data-dir", str(which.data), "--schema", "other"]
    for url in ("", NOBODY):
        said = which.said(name, *typed, code=2, WEFT_DATABASE_URL=url)
        assert said == begin + "it goes with --database-url, not with --data-dir\n"
    said = which.said(name, "--schema", "other", code=2, WEFT_DATA_DIR=str(which.data))
    assert said == begin + "there is neither --database-url nor WEFT_DATABASE_URL\n"
    said = which.said(name, "--schema", "other", WEFT_DATABASE_URL=NOBODY)
    assert "127.0.0.1:9/gone, schema other" in said
