"""The list of processes a run has started, so that a later command can stop exactly these."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["PidFile", "ProcessRecord", "record_of"]


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """One process, with what tells it from a later one of the same id."""

    name: str
    """What it is, such as `server`."""
    pid: int
    """Its process id, and that of its group."""
    birth: str
    """When it was started, in ticks since the machine was."""

    def is_alive(self) -> bool:
        """Tell whether it still runs: the id exists, and was given at the same moment."""
        return self.birth != "" and _birth_of(self.pid) == self.birth

    def send(self, number: signal.Signals) -> None:
        """Signal the process, provided that it is still the same."""
        if self.is_alive():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return  # it ended in between


def record_of(name: str, pid: int) -> ProcessRecord:
    """Describe a process that was just started."""
    return ProcessRecord(name, pid, _birth_of(pid))


def _birth_of(pid: int) -> str:
    """Read the start time of a process; empty when it ended, also when it only waits to be reaped."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    state, *rest = text.rpartition(")")[2].split()  # the name before it may hold spaces and brackets
    return "" if state in {"Z", "X"} else rest[18]


class PidFile:
    """The list on disk.

    Args:
        path: Where it lies.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, records: list[ProcessRecord]) -> None:
        """Replace the list."""
        draft = self._path.with_suffix(".new")
        draft.write_text(json.dumps([asdict(record) for record in records], indent=1), encoding="utf-8")
        draft.replace(self._path)

    def read(self) -> list[ProcessRecord]:
        """Return the list; a missing or damaged one is empty."""
        try:
            entries = json.loads(self._path.read_text(encoding="utf-8"))
            return [ProcessRecord(str(e["name"]), int(e["pid"]), str(e["birth"])) for e in entries]
        except (OSError, ValueError, TypeError, KeyError):
            return []

    def alive(self) -> list[ProcessRecord]:
        """Return those that still run."""
        return [record for record in self.read() if record.is_alive()]

    def remove(self) -> None:
        """Forget the list."""
        self._path.unlink(missing_ok=True)
