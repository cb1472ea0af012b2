"""A store without a server: read as of one moment, filled when it is empty, brought up to date.

This is what ``weft admin`` works with. Rows come and go in the form that the codec
gives them, which all adapters share, so what is taken out of one kind of store can be
put into another.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

__all__ = [
    "TABLES",
    "Filler",
    "Member",
    "Row",
    "Salvage",
    "Snapshot",
    "Table",
    "Vault",
    "VaultDamagedError",
    "VaultError",
    "table",
]

Row = tuple[Any, ...]
"""The columns of a row: text, whole numbers, bytes or None."""


class VaultError(Exception):
    """It cannot be done with this store as it is; the message says why."""


class VaultDamagedError(VaultError):
    """The database itself finds its files damaged."""


@dataclass(frozen=True, slots=True)
class Table:
    """What is kept of one kind, in every adapter."""

    name: str
    """Of the table."""
    columns: tuple[str, ...]
    """Those that all adapters have; not who owns what. Later ones stand last and may be none."""
    order: tuple[str, ...]
    """By what its rows are sorted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A server that has joined a store."""

    epoch: int
    """Tells it apart."""
    name: str
    """What it calls itself."""
    alive: bool
    """Whether its lease holds."""
    executions: int
    """How many it owns."""


TABLES: Final = (
    Table("services", ("id", "name", "state", "revision", "document", "descriptors"), ("id",)),
    Table("instances", ("id", "service_id", "document"), ("id",)),
    Table(
        "workflows", ("id", "name", "state", "revision", "version", "deleted", "document", "labels"), ("id",)
    ),
    Table(
        "workflow_versions",
        ("workflow_id", "version", "create_time", "definition"),
        ("workflow_id", "version"),
    ),
    Table(
        "executions",
        (
            *("document", "state", "last_event", "waits", "due_time", "end_time", "failure"),
            *("id", "workflow_id", "create_time", "key", "slot", "slot_limit", "origin"),
            *("request_method", "request_id", "fingerprint"),
            *("alias", "retention", "parent"),
        ),
        ("id",),
    ),
    Table(
        "events",
        ("execution_id", "number", "time", "kind", "attributes", "payload"),
        ("execution_id", "number"),
    ),
    Table("execution_attributes", ("execution_id", "name", "value"), ("execution_id", "name")),
    Table("trash", ("execution_id", "due_time"), ("execution_id",)),
    Table(
        "batches",
        ("document", "state", "total", "succeeded", "skipped", "failed", "end_time", "id"),
        ("id",),
    ),
    Table(
        "batch_items",
        ("batch_id", "number", "execution_id", "state", "failure", "result_id"),
        ("batch_id", "number"),
    ),
    Table(
        "schedules",
        (
            *("id", "name", "workflow_id", "state", "revision", "due_time", "last_run"),
            *("started", "skipped", "missed", "failed", "plan", "document"),
        ),
        ("id",),
    ),
    Table(
        "schedule_runs",
        ("schedule_id", "number", "state", "buffers", "document"),
        ("schedule_id", "number"),
    ),
    Table("commands", ("execution_id", "kind", "body"), ("id",)),
    Table(
        "requests",
        ("method", "request_id", "fingerprint", "document", "create_time"),
        ("method", "request_id"),
    ),
)
"""Everything, in an order in which it can be put into an empty store."""


def table(name: str) -> Table:
    """Return a table by its name."""
    return next(each for each in TABLES if each.name == name)


class Snapshot(Protocol):
    """A store as it was at one moment, whatever happens to it meanwhile."""

    def rows(self, what: Table) -> AsyncIterator[Row]:
        """Yield the rows of a table, sorted."""
        ...

    async def count(self) -> int:
        """Return how many executions there are."""
        ...

    async def owners(self) -> dict[str, int]:
        """Return by which epoch executions are owned, by their ids; who is not in it is nobody's."""
        ...

    async def epochs(self) -> frozenset[int]:
        """Return the epochs that may own something."""
        ...

    async def faults(self) -> tuple[str, ...]:
        """Return what the database itself finds wrong with its files."""
        ...


class Filler(Protocol):
    """An empty store that is being filled."""

    async def add(self, what: Table, rows: Iterable[Row]) -> None:
        """Put rows into a table."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Salvage:
    """What became of a damaged store."""

    lost: str
    """What was given up."""
    kept: Path
    """Folder with the files as they were."""
    faults: tuple[str, ...]
    """What is wrong with the rest; it is of no use then."""


class Vault(Protocol):
    """A store, for as long as a command takes."""

    @property
    def name(self) -> str:
        """What it is, for people."""
        ...

    def snapshot(self) -> AbstractAsyncContextManager[Snapshot]:
        """Read it as of now; servers may go on.

        Raises:
            VaultError: It is not there, or not up to date.
            VaultDamagedError: It cannot be read, or not to its end.
        """
        ...

    def filling(self) -> AbstractAsyncContextManager[Filler]:
        """Fill it, all or nothing: what was added is there when the block has ended well.

        Raises:
            VaultError: It is in use, or not empty.
        """
        ...

    async def migrate(self, *, apply: bool) -> tuple[str, ...]:
        """Bring it up to date; return the names of the migrations that were missing.

        Args:
            apply: Whether to do it; else they are only named.

        Raises:
            VaultError: It is in use, or cannot be brought up to date.
        """
        ...

    async def accept_loss(self) -> Salvage | None:
        """Take a damaged store for what is left of it; None when nothing is known to be missing.

        Raises:
            VaultError: It is in use, or of a kind that looks after itself.
        """
        ...

    async def members(self) -> tuple[Member, ...]:
        """Return the servers that have joined.

        Raises:
            VaultError: It is not there.
        """
        ...

    async def remove(self, epoch: int) -> int:
        """Take a server for dead: it writes nothing more; return how many executions are free."""
        ...
