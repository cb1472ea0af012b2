"""The next release, as far as a database can tell: this one's server with what a next one may bring.

A copy of the source is changed in a few places, each of which must be there. It comes
before this one on the path of a process, so that the same command starts it. What it
brings, and the older one has to live with (ADR 0022):

* a migration that adds a column and a table,
* members that say nothing in events, executions and definitions, and hints in services,
* a kind of event that the older one does not know, in most of what it starts,
* a kind of order that the older one does not know: it halts where this one pauses.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.faults.rig.child import ROOT
from weft.server.store.migrate import load_migrations

__all__ = ["next_release"]

_NOTED: Final = """
from random import random
from weft.core.values import dataclass
from weft.server.execution.history.model import EventEmitted


@dataclass(frozen=True, slots=True, kw_only=True)
class StepNoted(EventEmitted):
    pass


def _noted(step_id: str) -> tuple[StepNoted, ...]:
    return (StepNoted(step_id=step_id, type="note", data=b"{}"),) if random() < 0.8 else ()
"""

_ADDED: Final = (
    ("execution/history/events.py", '    cause: str = ""\n', '    priority: str = ""\n'),
    ("execution/history/model.py", '    alias: str = ""\n', '    priority: str = ""\n'),
    ("workflow/model.py", "    on_error: tuple[ErrorHandler, ...] = ()\n", "    weight: int = 0\n"),
    ("registry/model.py", '    endpoint: str = ""\n', '    team: str = "platform"\n'),
    ("execution/history/numbered.py", '__all__ = ["first_events", "number_events", "summarize"]\n', _NOTED),
    ("execution/history/numbered.py", "    return number_events(0, (started, *reused, ", "*_noted(first), "),
    (
        "store/execution_codec.py",
        "_MICROSECOND: Final = timedelta(microseconds=1)\n",
        "from weft.server.execution.history.numbered import StepNoted\n",
    ),
    (
        "store/execution_codec.py",
        '    EventEmitted: ("event_emitted", "data"),\n',
        '    StepNoted: ("step_noted", "data"),\n',
    ),
    (
        "execution/orders/orders.py",
        'class Pause(Order):\n    """Dispatch no further step."""\n',
        '    kind = "halt"\n',
    ),
)
"""A file, a text in it, and what comes behind that."""

_MIGRATIONS: Final = {
    "postgres": "ALTER TABLE executions ADD COLUMN priority text NOT NULL DEFAULT '';\n"
    "CREATE TABLE priorities (name text PRIMARY KEY);\n",
    "sqlite": "ALTER TABLE executions ADD COLUMN priority TEXT NOT NULL DEFAULT '';\n"
    "CREATE TABLE priorities (name TEXT PRIMARY KEY) STRICT;\n",
}


def next_release(folder: Path) -> Mapping[str, str]:
    """Make it, and return the variables with which a process is of it."""
    server = folder / "server" / "weft" / "server"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "server" / "weft" / "server", server, ignore=ignored)
    for name, behind, added in _ADDED:
        _add(server / name, behind, added)
    orders = server / "execution" / "orders" / "orders.py"
    orders.write_text(orders.read_text().replace('    kind = "pause"\n', ""))
    for dialect, script in _MIGRATIONS.items():
        known = len(load_migrations(dialect))
        name = f"{known + 1:04}_priorities.fits_{known:04}.sql"
        (server / "store" / "sql" / dialect / "migrations" / name).write_text(f"-- Next.\n{script}")
    path = [str(folder / "server"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(path)}


def _add(file: Path, behind: str, added: str) -> None:
    content = file.read_text()
    assert behind in content, f"{file.name} has changed: adapt the next release to it"
    file.write_text(content.replace(behind, behind + added, 1))
