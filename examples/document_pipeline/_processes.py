"""The server and the services as processes: started, watched, and stopped in order."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from examples.document_pipeline._pidfile import PidFile, ProcessRecord, record_of
from examples.document_pipeline._place import ROOT, Place, RunError

__all__ = ["SERVICES", "Processes", "stop_recorded"]

SERVICES = ("text-extraction", "sentiment-analysis", "text-summarization")

PATIENCE = 10.0
"""Seconds that a process gets to stop by itself."""

_POLL = 0.02


class Processes:
    """All processes of one run; leaving the block stops them, unless they are to be kept.

    Every process has its own session, so that Ctrl-C reaches the runner only
    and the runner stops them in order.

    Args:
        place: Where the run takes place.
        pid_file: Where the processes are listed.
    """

    def __init__(self, place: Place, pid_file: PidFile) -> None:
        self._place = place
        self._pid_file = pid_file
        self._children: list[subprocess.Popen[bytes]] = []
        self._records: list[ProcessRecord] = []
        self._kept = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._kept:
            # Another signal must not leave half of them behind; the wait is bounded.
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
            _stop(self._records, self._reap)
            self._pid_file.remove()

    def start_server(self) -> None:
        """Start the Weft server."""
        place = self._place
        self._start(
            "server",
            ["weft.cli", "server", "--listen", place.server, "--data-dir", str(place.data_dir)],
        )

    def start_services(self) -> None:
        """Start the three services, each as a process of its own."""
        for name in SERVICES:
            module = f"examples.document_pipeline.{name.replace('-', '_')}"
            options = ["--documents", str(self._place.documents)] if name == "text-extraction" else []
            self._start(name, [module, "--server", self._place.server, *options])

    def _start(self, name: str, module: Sequence[str]) -> None:
        try:
            with self._log(name).open("wb") as log:
                child = subprocess.Popen(
                    [sys.executable, "-m", *module],
                    cwd=ROOT,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            self._children.append(child)
            self._records.append(record_of(name, child.pid))
            self._pid_file.write(self._records)
        except OSError as error:
            raise RunError(f"cannot start {name}: {error.strerror or error}") from None

    def check(self) -> None:
        """See that all processes still run.

        Raises:
            RunError: One has ended; the message is the last one of its own.
        """
        for child, record in zip(self._children, self._records, strict=True):
            code = child.poll()
            if code is not None:
                raise RunError(self._farewell(record.name, code), exit_code=code if code > 0 else 1)

    def _farewell(self, name: str, code: int) -> str:
        """Say why a process ended; the server says it itself, when it refuses to start."""
        log = self._log(name)
        said, by_itself = last_message(log)
        if by_itself and name == "server":
            return said
        how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        return f"{name} ended with {how}{f': {said}' if said else ''}; its log is {log}"

    def keep(self) -> None:
        """Leave the processes running when the block ends."""
        self._kept = True

    def _log(self, name: str) -> Path:
        return self._place.logs / f"{name}.log"

    def _reap(self) -> None:
        for child in self._children:
            child.poll()


def last_message(log: Path) -> tuple[str, bool]:
    """Return why a process ended, and whether it said so on purpose, with `Error:`.

    Without such a line it is the last one that is no record of a structured log.
    """
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "", False
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("{")]
    errors = [line for line in lines if line.lower().startswith("error:")]
    if errors:
        return errors[-1][len("error:") :].strip(), True
    return (lines or [""])[-1], False


def stop_recorded(pid_file: PidFile) -> str:
    """Stop what an earlier run has left running, and say what was done."""
    running = pid_file.alive()
    _stop(running, lambda: None)
    pid_file.remove()
    if not running:
        return "nothing is running"
    return f"stopped {', '.join(record.name for record in reversed(running))}"


def _stop(records: Sequence[ProcessRecord], reap: Callable[[], None]) -> None:
    """Stop the services first, so that they can say goodbye to the server; then the server."""
    server = [record for record in records if record.name == "server"]
    services = [record for record in records if record.name != "server"]
    for group in (services, server):
        for number in (signal.SIGTERM, signal.SIGKILL):
            for record in group:
                record.send(number)
            _wait_for_end(group, reap)


def _wait_for_end(records: Sequence[ProcessRecord], reap: Callable[[], None]) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        reap()
        if not any(record.is_alive() for record in records):
            return
        time.sleep(_POLL)
