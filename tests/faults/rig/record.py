"""What happened, written down outside of the system under test: one JSON line for each thing.

Times are seconds of the machine's monotonic clock, which all processes share, so
that lines of the driver, the workers and the rig can be compared.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique
from pathlib import Path
from typing import Any


@unique
class Outcome(StrEnum):
    """How an operation ended, as far as its caller can know."""

    OK = "ok"
    FAIL = "fail"
    """It certainly had no effect."""
    UNKNOWN = "unknown"
    """It may have had its effect, or may have it later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One call of the driver, from its invocation to its end."""

    number: int
    name: str
    """``start``, ``execute``, ``watch``, ``history``, ``get``, ``cancel``, ``signal`` or ``decide``."""
    request: Mapping[str, Any]
    invoked: float
    ended: float = float("inf")
    outcome: Outcome = Outcome.UNKNOWN
    answer: Mapping[str, Any] = field(default_factory=dict)
    """What came back; of a failure its ``reason``."""

    @property
    def ok(self) -> bool:
        return self.outcome is Outcome.OK


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """One run of an action's body, as its worker wrote it down."""

    worker: str
    execution: str
    step: str
    attempt: int
    key: str
    given: Mapping[str, Any]
    began: float
    ended: float | None = None
    """When it returned, failed or was stopped; None when its worker died with it."""
    output: Mapping[str, Any] | None = None
    """None unless it returned."""
    failed: bool = False
    """Whether it ended by raising."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A time in which calls may fail: from a fault to the moment that it is healed."""

    fault: str
    began: float
    ended: float


class Journal:
    """A file that only grows; a line is written by one system call, so a kill never cuts it in two."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def write(self, **members: Any) -> None:
        line = json.dumps({**members, "time": time.monotonic()}, sort_keys=True, separators=(",", ":"))
        os.write(self._file, line.encode() + b"\n")

    def close(self) -> None:
        os.close(self._file)


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Return the lines of a journal; of one that a machine's death cut, the whole ones."""
    if not path.exists():
        return
    for line in path.read_bytes().splitlines(keepends=True):
        if line.endswith(b"\n"):
            yield json.loads(line)


class Recorder:
    """Records what the driver does: a line when it calls, another when it learns the outcome."""

    def __init__(self, path: Path) -> None:
        self._journal = Journal(path)
        self._numbers = itertools.count(1)

    def invoke(self, name: str, **request: Any) -> int:
        number = next(self._numbers)
        self._journal.write(op=number, type="invoke", name=name, request=request)
        return number

    def end(self, number: int, outcome: Outcome, **answer: Any) -> None:
        self._journal.write(op=number, type=outcome.value, answer=answer)

    def close(self) -> None:
        self._journal.close()


def read_operations(path: Path) -> tuple[Operation, ...]:
    """Pair invocations with their ends; one that never ended is unknown."""
    invoked: dict[int, dict[str, Any]] = {}
    ended: dict[int, dict[str, Any]] = {}
    for line in read_lines(path):
        (invoked if line["type"] == "invoke" else ended)[line["op"]] = line
    return tuple(_operation(line, ended.get(number)) for number, line in invoked.items())


def _operation(begin: Mapping[str, Any], end: Mapping[str, Any] | None) -> Operation:
    known = {
        "number": begin["op"],
        "name": begin["name"],
        "request": begin["request"],
        "invoked": begin["time"],
    }
    if end is None:
        return Operation(**known)
    return Operation(**known, ended=end["time"], outcome=Outcome(end["type"]), answer=end["answer"])


def read_bodies(folder: Path) -> tuple[Body, ...]:
    """Pair the beginnings and ends of bodies in all workers' journals, by their beginning."""
    bodies = [body for path in sorted(folder.glob("worker-*.jsonl")) for body in _bodies(path)]
    return tuple(sorted(bodies, key=lambda body: body.began))


def _bodies(path: Path) -> Iterator[Body]:
    lines = list(read_lines(path))
    ends = {line["run"]: line for line in lines if line["type"] != "begin"}
    for line in lines:
        if line["type"] == "begin":
            end = ends.get(line["run"])
            yield Body(
                worker=path.stem,
                execution=line["execution"],
                step=line["step"],
                attempt=line["attempt"],
                key=line["key"],
                given=line["given"],
                began=line["time"],
                ended=end["time"] if end is not None else None,
                output=end.get("output") if end else None,
                failed=end is not None and end["type"] == "failed",
            )
