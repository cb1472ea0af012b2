"""Ctrl-C: whenever it comes, the command ends soon, with exit code 130 and one clear line."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.integration.cli.samples import EXECUTION, execution
from tests.integration.cli.scripted import ScriptedServer
from weft.api.execution.v1 import execution_pb2
from weft.api.execution.v1 import execution_service_pb2 as pb
from weft.api.registry.v1 import registry_service_pb2 as registry_pb

pytestmark = pytest.mark.integration

LINE = "Interrupted."
RUNNING = execution_pb2.EXECUTION_STATE_RUNNING
SOON = 20.0
"""Seconds; it takes about one, and some more where tests starve each other."""

Process = subprocess.Popen[str]


@contextmanager
def _weft(moment: str, *words: str, **environ: str) -> Iterator[Process]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.integration.cli.interrupting", moment, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "NO_COLOR": "1", **environ},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _ended(process: Process) -> tuple[int, str, str]:
    stdout, stderr = process.communicate(timeout=SOON)
    return process.returncode, stdout, stderr


def _until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + SOON
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def _says_now(process: Process) -> None:
    assert process.stdout
    assert process.stdout.readline() == "now\n"


@pytest.fixture
def slow(server: ScriptedServer) -> ScriptedServer:
    """A server that starts an execution which does not end, and says nothing of it."""
    server.on("StartExecution", pb.StartExecutionResponse(execution=execution(RUNNING)))
    server.on("WatchExecution", None)
    return server


def test_a_signal_that_wakes_nobody(slow: ScriptedServer) -> None:
    """A signal that comes just before the event loop waits ends the command as well.

    The kernel interrupts no waiting then, and the loop has nothing to wake for.
    """
    with _weft("unnoticed", "run", "slow", "--target", slow.target) as process:
        _until(lambda: "WatchExecution" in slow.requests)
        time.sleep(0.2)  # until it waits for the server
        assert process.stdin
        process.stdin.write("now\n")
        process.stdin.flush()
        code, stdout, stderr = _ended(process)
    assert (code, stdout) == (130, "")
    assert f"weft executions watch {EXECUTION}" in stderr
    assert "CancelExecution" not in slow.requests


@pytest.mark.parametrize(
    "module",
    [
        "typer",
        "weft.cli._executions.run",
        "weft.cli._base.session",
        "grpc",
        "grpc.aio",
        "weft.client",
        "google.protobuf",
    ],
)
def test_while_it_imports(server: ScriptedServer, module: str) -> None:
    """Half-imported modules show nobody a traceback."""
    with _weft(f"import:{module}", "services", "list", "--target", server.target) as process:
        code, stdout, stderr = _ended(process)
    assert (code, stdout, stderr) == (130, "", f"{LINE}\n")


def test_while_the_server_is_imported() -> None:
    """Commands of other packages are ours, until they take the signal themselves."""
    with _weft("import:weft.server.app", "server") as process:
        assert _ended(process) == (130, "", f"{LINE}\n")


@pytest.mark.parametrize("part", range(1, 13))
def test_anywhere(server: ScriptedServer, part: int) -> None:
    """Spread over all that a command does, from its start to its result."""
    server.on("ListServices", registry_pb.ListServicesResponse())
    number = part * 13_000
    with _weft(f"call:{number}", "services", "list", "--target", server.target) as process:
        code, _, stderr = _ended(process)
    assert (code, stderr) in {(130, f"{LINE}\n"), (0, "")}


@pytest.mark.parametrize("method", ["StartExecution", "WatchExecution"])
@pytest.mark.parametrize("options", [[], ["--watch"], ["-o", "json"]])
def test_while_the_server_is_silent(slow: ScriptedServer, options: list[str], method: str) -> None:
    """The line says whether an execution was started, and how to go on."""
    slow.on(method, None)
    with _weft("never", "run", "slow", *options, "--target", slow.target) as process:
        _until(lambda: method in slow.requests)
        process.send_signal(signal.SIGINT)
        code, stdout, stderr = _ended(process)
    assert (code, stdout) == (130, "")
    known = method == "WatchExecution"
    assert ("weft executions list" in stderr, f"execution {EXECUTION} goes on" in stderr) == (
        not known,
        known,
    )
    assert "Traceback" not in stderr
    assert "CancelExecution" not in slow.requests


def test_while_the_last_answer_is_on_its_way(slow: ScriptedServer) -> None:
    """A signal that comes together with the result does not get lost between the two."""
    with _weft("never", "executions", "get", EXECUTION, "--target", slow.target) as process:

        def answer(_: pb.GetExecutionRequest) -> pb.GetExecutionResponse:
            process.send_signal(signal.SIGINT)
            return pb.GetExecutionResponse(execution=execution())

        slow.on("GetExecution", answer)
        code, _, stderr = _ended(process)
    assert (code, stderr) == (130, f"{LINE}\n")


@pytest.mark.parametrize("words", [["services", "list"], ["doctor"], ["resolve", "orders"], ["health"]])
def test_while_it_connects(words: list[str]) -> None:
    """Nobody waits for a server that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        target = f"127.0.0.1:{listener.getsockname()[1]}"
        with _weft("never", *words, "--target", target) as process:
            listener.settimeout(SOON)
            connection, _ = listener.accept()
            with connection:
                process.send_signal(signal.SIGINT)
                code, _, stderr = _ended(process)
    assert (code, stderr) == (130, f"{LINE}\n")


def test_what_cannot_be_cancelled_is_left_behind() -> None:
    """A thread that looks an address up goes on for a minute; the command does not wait for it."""
    with _weft("lookup", "resolve", "dns:///nobody.test:80", "--request-timeout", "50s") as process:
        _says_now(process)
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        code, _, stderr = _ended(process)
    assert (code, stderr) == (130, f"{LINE}\n")
    assert time.monotonic() - started < 10


def test_a_second_one_waits_for_nothing() -> None:
    """Who presses it twice is in a hurry."""
    with _weft("lookup", "resolve", "dns:///nobody.test:80", "--request-timeout", "50s") as process:
        _says_now(process)
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)  # two at once are one
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert _ended(process)[0] == 130
    assert time.monotonic() - started < 1.5


def test_while_it_reads_stdin() -> None:
    """A command that waits for its input waits no longer, and nothing was started."""
    with _weft("stdin", "run", "slow", "--input", "-", "--target", "127.0.0.1:1") as process:
        _says_now(process)
        process.send_signal(signal.SIGINT)
        code = process.wait(timeout=SOON)  # stdin stays open
        assert process.stderr
        assert (code, process.stderr.read()) == (130, f"{LINE}\n")


def test_programs_read_it_as_an_error(server: ScriptedServer) -> None:
    """With --output json the line is an error like all others."""
    with _weft("import:grpc", "services", "list", "-o", "json", "--target", server.target) as process:
        code, stdout, stderr = _ended(process)
    assert (code, stdout) == (130, "")
    assert json.loads(stderr)["error"]["reason"] == "INTERRUPTED"


def test_where_it_is_ignored_it_stays_so(slow: ScriptedServer) -> None:
    """What a shell starts in the background does not hear the Ctrl-C of what is in front."""
    ignoring = "import os,signal,sys; signal.signal(signal.SIGINT, signal.SIG_IGN); os.execv(sys.executable,"
    script = f"{ignoring} [sys.executable, '-m', 'weft.cli', *sys.argv[1:]])"
    words = ["run", "slow", "--target", slow.target]
    with subprocess.Popen([sys.executable, "-c", script, *words], stderr=subprocess.PIPE) as process:
        _until(lambda: "WatchExecution" in slow.requests)
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=1)
        process.kill()
