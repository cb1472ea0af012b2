"""The runner's own parts: state, places, and processes that end when they should."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from examples.document_pipeline._pidfile import PidFile, ProcessRecord, record_of
from examples.document_pipeline._place import (
    DEFAULT_DATA_DIR,
    Place,
    RunError,
    choose_port,
    prepare,
    stop_command,
)
from examples.document_pipeline._processes import last_message, stop_recorded
from examples.document_pipeline._report import hints, results
from examples.document_pipeline._runs import DocumentRun, StepState

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "document_pipeline"
STEPS = ("extract-text", "analyze-sentiment", "generate-summary")
IGNORES_SIGTERM = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True)"


@contextmanager
def sleeper(code: str = "print(flush=True)") -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(
        [sys.executable, "-c", f"{code}; import time; time.sleep(60)"], stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    child.stdout.readline()
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def place_of(tmp_path: Path, documents: Path = EXAMPLE / "documents", port: int = 7420) -> Place:
    return Place(data_dir=tmp_path / "data", documents=documents, port=port, started=0)


def finished() -> DocumentRun:
    run = DocumentRun.waiting("the-raven.html", STEPS)
    outputs = (
        {"media_type": "text/html", "pages": 1.0, "words": 1096, "text": "…"},
        {"sentiment": "negative", "score": -0.139},
        {"sentences": ["Once upon a midnight dreary.", "Nevermore."]},
    )
    run.apply("execution_started", {})
    for step, output in zip(STEPS, outputs, strict=True):
        run.apply("step_scheduled", {"step_id": step, "attempt": 1})
        run.apply("step_completed", {"step_id": step, "output": output})
    run.apply("execution_completed", {"result": {}})
    return run


def test_events_move_the_steps_of_a_document() -> None:
    """The state of a document is what its events add up to."""
    run = DocumentRun.waiting("a.txt", STEPS)
    assert list(run.steps.values()) == [StepState.WAITING] * 3
    assert run.apply("step_scheduled", {"step_id": "extract-text"}) == "extract-text started"
    assert run.steps["extract-text"] is StepState.RUNNING
    assert not run.ended
    assert finished().succeeded
    assert finished().ended
    assert list(finished().steps.values()) == [StepState.COMPLETED] * 3


def test_a_failed_step_says_why() -> None:
    """The reason of a failure reaches the table."""
    run = DocumentRun.waiting("a.md", STEPS)
    failure = {"message": "document 'a.md' is no text", "reason": "DOCUMENT_TYPE_UNSUPPORTED"}
    run.apply("step_failed", {"step_id": "extract-text", "failure": failure})
    run.apply("execution_failed", {"failure": failure})
    assert run.steps["extract-text"] is StepState.FAILED
    assert run.ended
    assert not run.succeeded
    assert run.failure == "document 'a.md' is no text (DOCUMENT_TYPE_UNSUPPORTED)"


@pytest.mark.parametrize("kind", ["execution_failed", "execution_cancelled", "execution_timed_out"])
def test_every_other_end_is_a_failure(kind: str) -> None:
    """An execution that ends without a result has not succeeded, even when it gives no reason."""
    run = DocumentRun.waiting("a.txt", STEPS)
    run.apply(kind, {})
    assert run.failure
    assert not run.succeeded


def test_results_show_what_was_found() -> None:
    """The table has a row per document, with the failure of one that failed."""
    failed = DocumentRun.waiting("bad.pdf", STEPS)
    failed.fail("cannot be read (DOCUMENT_UNREADABLE)")
    console = Console(file=StringIO(), width=160)
    console.print(results([finished(), failed]))
    text = str(getattr(console.file, "getvalue", str)())
    for word in ("the-raven.html", "HTML", "1,096", "negative -0.139", "Once upon a midnight dreary."):
        assert word in text
    assert "cannot be read (DOCUMENT_UNREADABLE)" in text


def test_hints_can_be_copied(tmp_path: Path) -> None:
    """Every line to try next is one line, and names the server's real address."""
    console = Console(file=StringIO(), width=40)
    hints(console, place_of(tmp_path, port=7999), "the-raven.html")
    lines = str(getattr(console.file, "getvalue", str)()).splitlines()
    (weft,) = [line for line in lines if ".venv/bin/weft run" in line]
    assert weft.endswith("--watch --target 127.0.0.1:7999")
    (grpcurl,) = [line for line in lines if "grpcurl -plaintext" in line]
    assert grpcurl.endswith("127.0.0.1:7999 weft.api.execution.v1.ExecutionService/ExecuteWorkflow")
    assert any(".venv/bin/buf curl --protocol grpc --http2-prior-knowledge" in line for line in lines)


def test_the_workflow_shows_both_data_flows() -> None:
    """Two steps take their input implicitly, one says it in CEL; they form one chain."""
    workflow = yaml.safe_load((EXAMPLE / "workflow.yaml").read_text(encoding="utf-8"))
    assert workflow["name"] == "document-processing"
    assert tuple(step["id"] for step in workflow["steps"]) == STEPS
    assert [step.get("next") for step in workflow["steps"]] == [*STEPS[1:], None]
    assert ["input" in step for step in workflow["steps"]] == [False, False, True]


def test_refuses_a_port_that_is_taken(tmp_path: Path) -> None:
    """A taken port is one clear line before anything starts; 0 takes a free one."""
    pid_file = PidFile(tmp_path / "processes.json")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(RunError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
            choose_port(port, tmp_path, pid_file)
        assert choose_port(0, tmp_path, pid_file) not in {0, port}


def test_refuses_to_start_twice(tmp_path: Path) -> None:
    """A pipeline that was left running is not started over; the message says how to stop it."""
    pid_file = PidFile(tmp_path / "processes.json")
    with sleeper() as child:
        pid_file.write([record_of("server", child.pid)])
        with pytest.raises(RunError, match=r"run\.py --stop --data-dir"):
            choose_port(0, tmp_path, pid_file)
    assert stop_command(DEFAULT_DATA_DIR) == "make stop"


def test_prepares_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """The data folder is made, and the trial of its space leaves nothing behind."""
    place = place_of(tmp_path)
    prepare(place, PidFile(place.data_dir / "processes.json"))
    assert [path.name for path in place.data_dir.iterdir()] == ["logs"]


def test_refuses_a_data_folder_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in the way and a full disk are one clear line each."""
    place = place_of(tmp_path)
    place.data_dir.write_text("in the way", encoding="utf-8")
    with pytest.raises(RunError, match=r"cannot write to the data folder .*: (Not a directory|File exists)"):
        prepare(place, PidFile(tmp_path / "processes.json"))

    place.data_dir.unlink()
    monkeypatch.setattr("examples.document_pipeline._place.SPACE_NEEDED", 1 << 62)
    with pytest.raises(RunError, match=r"cannot write .*: (No space left on device|File too large)"):
        prepare(place, PidFile(tmp_path / "processes.json"))


def test_refuses_a_folder_without_documents(tmp_path: Path) -> None:
    """Nothing to do, or nowhere to look, is said before anything starts."""
    pid_file = PidFile(tmp_path / "processes.json")
    with pytest.raises(RunError, match="there are no documents"):
        prepare(place_of(tmp_path, documents=tmp_path), pid_file)
    with pytest.raises(RunError, match="No such file or directory"):
        prepare(place_of(tmp_path, documents=tmp_path / "missing"), pid_file)


def test_stops_exactly_the_recorded_processes(tmp_path: Path) -> None:
    """Stopping ends what was recorded, leaves others alone, and forgets the list."""
    pid_file = PidFile(tmp_path / "processes.json")
    with sleeper() as server, sleeper() as service, sleeper() as stranger:
        pid_file.write([record_of("server", server.pid), record_of("text-extraction", service.pid)])
        assert stop_recorded(pid_file) == "stopped text-extraction, server"
        assert server.wait(5) == service.wait(5) == -signal.SIGTERM
        assert stranger.poll() is None
    assert stop_recorded(pid_file) == "nothing is running"


def test_leaves_a_process_alone_that_got_an_old_id(tmp_path: Path) -> None:
    """A process id is given again some day: the time of birth tells the two apart."""
    pid_file = PidFile(tmp_path / "processes.json")
    with sleeper() as stranger:
        pid_file.write([ProcessRecord("server", stranger.pid, "1")])
        assert stop_recorded(pid_file) == "nothing is running"
        assert stranger.poll() is None


def test_kills_what_does_not_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait for an orderly end is bounded."""
    monkeypatch.setattr("examples.document_pipeline._processes.PATIENCE", 0.1)
    pid_file = PidFile(tmp_path / "processes.json")
    with sleeper(IGNORES_SIGTERM) as stubborn:
        pid_file.write([record_of("server", stubborn.pid)])
        started = time.monotonic()
        stop_recorded(pid_file)
        assert stubborn.wait(5) == -signal.SIGKILL
        assert time.monotonic() - started < 5


def test_a_damaged_list_is_empty(tmp_path: Path) -> None:
    """A list that cannot be read names no process."""
    path = tmp_path / "processes.json"
    for text in ("", "{", "[1]", '[{"name": "server"}]', "null"):
        path.write_text(text, encoding="utf-8")
        assert PidFile(path).read() == []


def test_knows_its_own_process() -> None:
    """A running process is alive; one that never was is not."""
    assert record_of("tests", os.getpid()).is_alive()
    assert not record_of("nobody", 2**22 + 1).is_alive()


@pytest.mark.parametrize(
    ("log", "message"),
    [
        ("starting\nError: cannot listen: taken\nHint: take another\n", ("cannot listen: taken", True)),
        ("Traceback\n  File\nOSError: no such thing\n\n", ("OSError: no such thing", False)),
        ('{"event": "ready"}\n', ("", False)),
        ("", ("", False)),
    ],
)
def test_passes_on_why_a_process_ended(tmp_path: Path, log: str, message: tuple[str, bool]) -> None:
    """Of a log, the line that says what went wrong is passed on."""
    (tmp_path / "server.log").write_text(log, encoding="utf-8")
    assert last_message(tmp_path / "server.log") == message
    assert last_message(tmp_path / "missing.log") == ("", False)
