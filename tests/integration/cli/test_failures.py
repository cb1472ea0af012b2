"""What a person and a script see when the server refuses, or is not there."""

from __future__ import annotations

import json
import os
import socket
import socketserver
import subprocess
import sys
import threading

import pytest

from tests.integration.cli.conftest import Weft
from tests.integration.cli.samples import service, services, workflow
from tests.integration.cli.scripted import ScriptedServer
from weft.api.registry.v1 import registry_service_pb2
from weft.api.workflow.v1 import workflow_service_pb2
from weft.core.errors import (
    AlreadyExistsError,
    Code,
    ConflictError,
    DeadlineExceededError,
    ExhaustedError,
    InternalError,
    PreconditionError,
    ResourceNotFoundError,
    ServiceUnavailableError,
    UnexpectedStatusError,
    ValidationError,
    Violation,
    WeftError,
)
from weft.core.reasons import Reason

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ResourceNotFoundError("service", "x"), 3),
        (ValidationError([Violation("service", "is no name")]), 4),
        (AlreadyExistsError("taken", reason=Reason.WORKFLOW_EXISTS), 5),
        (PreconditionError("inactive"), 5),
        (ConflictError("changed"), 5),
        (ExhaustedError("full", reason=Reason.ENGINE_FULL), 6),
        (DeadlineExceededError("late"), 7),
        (InternalError("broken"), 70),
        (UnexpectedStatusError("odd", code=Code.UNKNOWN), 70),
        (UnexpectedStatusError("who are you?", code=Code.UNAUTHENTICATED), 1),
    ],
)
def test_each_error_has_its_exit_code(
    server: ScriptedServer, weft: Weft, error: WeftError, code: int
) -> None:
    """The class of a failure is told by the exit code; people get one line, programs a document."""
    server.on("GetService", error)
    plain = weft("services", "get", "x")
    assert (plain.exit_code, plain.stdout) == (code, "")
    assert plain.stderr == f"Error: {error}\n"
    document = json.loads(weft("services", "get", "x", "-o", "json").stderr)["error"]
    assert document["code"] == error.code.name
    assert document["message"] == error.message
    assert document["violations"] == (error.validation_errors if isinstance(error, ValidationError) else [])


def test_nobody_answers(weft: Weft) -> None:
    """An absent server is the exit code 6, with a hint what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{taken.getsockname()[1]}"
        result = weft("services", "list", "--target", target)
    assert result.exit_code == 6
    error, hint = result.stderr.splitlines()
    assert error == f"Error: no server listens on {target}"
    assert "`weft server`" in hint


class _Other(socketserver.BaseRequestHandler):
    """Speaks HTTP/1.1, whatever it is told."""

    def handle(self) -> None:
        self.request.recv(4096)
        self.request.sendall(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")


def test_something_else_answers(weft: Weft) -> None:
    """A web server at the target is no defect of Weft: it is named as what it is."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Other) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        target = f"127.0.0.1:{other.server_address[1]}"
        result = weft("services", "list", "--target", target)
        other.shutdown()
    assert result.exit_code == 6
    assert result.stderr.splitlines()[0] == f"Error: what listens on {target} is no gRPC server"


def test_another_kind_of_http_2_server_answers(server: ScriptedServer, weft: Weft) -> None:
    """An HTTP/2 server that knows no gRPC is told by the status it answers with."""
    server.on("ListServices", UnexpectedStatusError("Received http2 header with status: 404"))
    result = weft("services", "list")
    assert result.exit_code == 6
    assert result.stderr.splitlines()[0] == f"Error: what listens on {server.target} is no gRPC server"


def test_a_grpc_server_that_is_not_weft_answers(server: ScriptedServer, weft: Weft) -> None:
    """Such as that of a provider: it is no defect of Weft, and not what was asked for."""
    server.on("ListServices", UnexpectedStatusError("Method not found!", code=Code.UNIMPLEMENTED))
    result = weft("services", "list")
    assert result.exit_code == 6
    said = f"what listens on {server.target} does not know this call: it is no Weft server, or an older one"
    assert result.stderr.splitlines()[0] == f"Error: {said}"


def test_a_server_whose_http_2_is_none_answers(server: ScriptedServer, weft: Weft) -> None:
    """An HTTP/1 server may also be told by what it begins with."""
    text = "failed to connect to all addresses; last error: Failed parsing HTTP/2 (Expected SETTINGS frame)"
    server.on("ListServices", ServiceUnavailableError("weft", text))
    assert f"what listens on {server.target} is no gRPC server" in weft("services", "list").stderr


@pytest.mark.parametrize(
    "text",
    [
        "errors resolving nowhere:1: [address lookup failed for nowhere:1: Domain name not found]",
        "DNS resolution failed for nowhere:1: C-ares status is not ARES_SUCCESS",
    ],
)
def test_a_host_that_has_no_address(server: ScriptedServer, weft: Weft, text: str) -> None:
    """It is told in words, whichever ones gRPC has for it."""
    server.on("ListServices", ServiceUnavailableError("weft", text))
    result = weft("services", "list")
    assert result.exit_code == 6
    assert result.stderr.splitlines()[0] == f"Error: the host of {server.target} has no address"


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["run", "greet", "--timeout", "x"], "--timeout"),
        (["call", "a", "b", "--timeout", "x"], "--timeout"),
        (["executions", "signal", "e", "go", "--start", "w", "--timeout", "x"], "--timeout"),
        (["services", "list", "--request-timeout", "x"], "'--request-timeout'"),
    ],
    ids=repr,
)
def test_a_duration_that_is_none_is_named_by_its_option(
    server: ScriptedServer, weft: Weft, words: list[str], option: str
) -> None:
    """A command may have several."""
    result = weft(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    said = "'x' is no duration; write 500ms, 30s, 5m, 1h30m or a number of seconds"
    assert result.stderr.startswith(f"Error: Invalid value for {option}: {said}\n")
    assert not server.requests


def test_no_time_at_all_is_no_timeout(weft: Weft) -> None:
    """It would be taken for none."""
    result = weft("services", "list", "--request-timeout", "0")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "'--request-timeout': it is longer than 0" in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["workflows", "list", "--state", "x"], "'x' is not one of 'active', 'inactive', 'paused'."),
        (["workflows", "list", "--limit", "0"], "it is at least 1"),
        (["workflows", "list", "--limit", "9999"], "it is at most 1000"),
        (["workflows", "list", "--limit", "x"], "'x' is no whole number"),
        (["run", "greet", "--version", "9" * 20], "it is at most 9223372036854775807"),
        (["workflows", "diff", "greet", "--from", "9" * 20], "it is at most 9223372036854775807"),
        (["executions", "watch", "e", "--after", "9" * 20], "it is at most 9223372036854775807"),
        (["batches", "start", "x"], "'x' is not one of 'cancel', 'retry', 'pause', 'resume'."),
    ],
    ids=repr,
)
def test_a_value_that_cannot_be_is_told_in_words(weft: Weft, words: list[str], said: str) -> None:
    """Not in those of the library that checks it."""
    result = weft(*words)
    assert result.exit_code == 2
    line = result.stderr.splitlines()[0]
    assert line.startswith("Error: Invalid value for ")
    assert line.endswith(f": {said}")


def test_a_request_that_takes_too_long(server: ScriptedServer, weft: Weft) -> None:
    """--request-timeout bounds a request that is not answered."""
    server.on("GetService", None)
    assert weft("services", "get", "x", "--request-timeout", "200ms").exit_code == 7


def test_a_target_that_is_none(weft: Weft) -> None:
    """A wrong address is a fault of the input, named by its option."""
    result = weft("services", "list", "-t", "nowhere")
    assert result.exit_code == 4
    assert result.stderr.startswith("Error: target: 'nowhere'")
    for words in (["services", "list"], ["resolve", "greeter"], ["call", "greeter"]):
        result = weft(*words, "-t", "foo://x")
        assert result.exit_code == 4
        assert result.stderr.startswith("Error: target: foo:// is not spoken here; use ")


def test_texts_of_strangers_are_harmless(server: ScriptedServer, weft: Weft) -> None:
    """Escape sequences in messages and values reach no terminal."""
    server.on("GetService", ResourceNotFoundError("service", "x", message="\x1b]0;owned\x07gone\nError: not"))
    result = weft("services", "get", "x")
    assert result.stderr == "Error: ]0;owned gone Error: not\n"


def _completions(target: str, line: str, word: int) -> list[str]:
    env = {
        **os.environ,
        "WEFT_TARGET": target,
        "_WEFT_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(word),
    }
    command = [sys.executable, "-m", "weft.cli"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=30)
    assert not done.stderr
    return done.stdout.split()


def test_completion_asks_the_server(server: ScriptedServer) -> None:
    """Names of services, actions and workflows are offered as they are registered."""
    server.on("ListServices", services(service("sentiment"), service("summary")))
    server.on("ListWorkflows", workflow_service_pb2.ListWorkflowsResponse(workflows=[workflow()]))
    assert _completions(server.target, "weft services get s", 3) == ["sentiment", "summary"]
    assert _completions(server.target, "weft call sentiment a", 3) == ["analyze"]
    assert _completions(server.target, "weft run g", 2) == ["greet"]


def test_completion_without_a_server_is_silent() -> None:
    """Nothing is offered and nothing is said when nobody answers."""
    assert _completions("127.0.0.1:1", "weft run g", 2) == []
    assert _completions("127.0.0.1:1", "weft serv", 1) == ["services", "server"]


@pytest.mark.parametrize("words", [["server"], ["services", "list"], ["call", "a", "b"]])
def test_a_setting_that_stops_opentelemetry_itself(words: list[str]) -> None:
    """It fails at it while it is imported: people are told which variable it is, before that."""
    done = subprocess.run(
        [sys.executable, "-m", "weft.cli", *words],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "x"},
    )
    assert (done.returncode, done.stdout) == (2, "")
    wrong = "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT='x' is wrong: it must be a whole number"
    assert done.stderr == f"Error: environment: {wrong}\n"


@pytest.mark.parametrize("form", ["table", "json"])
def test_a_terminal_that_cannot_show_everything(server: ScriptedServer, form: str) -> None:
    """What its encoding lacks is escaped as in JSON: a program reads it as it was, people get the rest."""
    found = service("sentiment", description="“fast” 🚀 é")
    server.on("GetService", registry_service_pb2.GetServiceResponse(service=found))
    server.on("ListInstances", registry_service_pb2.ListInstancesResponse())
    done = subprocess.run(
        [sys.executable, "-m", "weft.cli", "services", "get", "sentiment", "--output", form],
        capture_output=True,
        timeout=30,
        check=False,
        env={**os.environ, "WEFT_TARGET": server.target, "PYTHONIOENCODING": "latin-1", "COLUMNS": "200"},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    shown = done.stdout.decode("latin-1")
    if form == "json":
        assert json.loads(shown)["description"] == "“fast” 🚀 é"
    else:
        assert "\\u201cfast\\u201d \\ud83d\\ude80 é" in shown
