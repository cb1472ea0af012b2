"""The store port of executions: their histories, and who owns which."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from weft.server.execution.history.model import Event, Execution
from weft.server.query.predicate import Ref
from weft.server.store.step_shares import StepShareStore
from weft.server.store.values import ExecutionFilter, Group, Page, RequestKey, Slice, StoreState, WhenFull

__all__ = ["Claim", "Command", "ExecutionStore"]


@dataclass(frozen=True, slots=True)
class Claim:
    """What came of asking for an execution."""

    execution: Execution
    """As it stands."""
    granted: bool
    """Whether this server owns it now, or did before; otherwise it has ended, or another server has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What one server asks of the one that owns an execution."""

    execution_id: str
    """Which execution."""
    kind: str
    """What is asked; known to the engine."""
    body: bytes = b"{}"
    """JSON text: with what."""


class ExecutionStore(StepShareStore, Protocol):
    """Executions and their histories."""

    @property
    def state(self) -> StoreState:
        """Whether it can do its work, as far as is known; BROKEN from the moment that a lease has run out."""
        ...

    async def insert_execution(
        self,
        execution: Execution,
        events: Sequence[Event],
        key: RequestKey | None = None,
        *,
        reuse_key: bool = False,
        when_full: WhenFull | None = None,
    ) -> Execution:
        """Store a new execution with the beginning of its history, and own it.

        A request key is kept as long as the execution. A repeat returns the
        execution that the first request started, as it stands now. When as many
        of the same slot run as may, it is stored waiting for ``SLOT``, owned by
        nobody, and returned like that.

        Args:
            execution: Its summary.
            events: The beginning of its history.
            key: Makes the start idempotent.
            reuse_key: Whether the key of one that has ended is free again.
            when_full: What else may happen when as many of the same slot run as may.

        Raises:
            AlreadyExistsError: REQUEST_ID_REUSED.
            SlotFullError: As many of the same slot run as may, and ``when_full`` says to refuse it.
            KeyTakenError: An open execution has its ``key``, or one that has ended while ``reuse_key``
                is not set.
        """
        ...

    async def append_events(
        self,
        execution: Execution,
        events: Sequence[Event],
        expected_last: int,
        *,
        release: bool = False,
        before: Execution | None = None,
    ) -> None:
        """Append to a history and replace the summary, when nobody appended in between.

        Args:
            execution: Its summary with the events; without any, only what it waits for is written.
            events: What happened.
            expected_last: Number of the newest event before.
            release: Whether nobody owns it afterwards: it waits, or has ended.
            before: Its summary as it is stored, where that is known: what is the same in both need not be
                written again.

        Raises:
            StaleWriteError: The newest event is not ``expected_last``, the execution has ended, or this
                server does not own it.
        """
        ...

    async def claim_execution(self, execution_id: str) -> Claim | None:
        """Own an execution that is open and nobody's; None when there is none of that id.

        Raises:
            NewerReleaseError: What it is, or waits for, only newer servers know.
        """
        ...

    async def claim_due(self, now: datetime, limit: int) -> tuple[Execution, ...]:
        """Own executions that are nobody's and due, the longest due first; not those of a newer release."""
        ...

    async def next_due(self) -> datetime | None:
        """Return when the next execution is due that ``claim_due`` would own."""
        ...

    async def orphans(self, after: str, limit: int) -> tuple[str, ...]:
        """Return the ids of open executions whose parent has ended, those beyond an id, in their order."""
        ...

    async def paused_workflows(self) -> frozenset[str]:
        """Return the ids of the workflows that are paused."""
        ...

    async def grant_slots(self, now: datetime) -> int:
        """Make executions due that wait for a slot and may run now, the oldest first; return how many."""
        ...

    async def wake_resumed(self, now: datetime) -> int:
        """Make executions due that wait for a workflow that is not paused any more; return how many."""
        ...

    async def post_command(self, command: Command) -> None:
        """Leave a command for whoever owns the execution."""
        ...

    async def take_commands(
        self, limit: int = 100, *, kinds: Collection[str] | None = None
    ) -> tuple[Command, ...]:
        """Remove and return commands for executions that this server owns, or nobody does, oldest first.

        Args:
            limit: How many at the most.
            kinds: Of which kinds; the others stay. None: all.
        """
        ...

    def on_change(self, listener: Callable[[Sequence[str]], None]) -> None:
        """Call back in the event loop with ids of executions that another server wrote to.

        Without any id: some became free or due. A hint, which may be late or missing: who depends
        on it looks again by itself.
        """
        ...

    async def recall_execution(self, key: RequestKey) -> Execution | None:
        """Return the execution that the first request with this key started, as it stands.

        Raises:
            AlreadyExistsError: REQUEST_ID_REUSED: its content was another.
        """
        ...

    async def get_execution(self, execution_id: str) -> Execution | None:
        """Return the summary of an execution."""
        ...

    async def list_executions(self, wanted: ExecutionFilter, page: Page) -> Slice[Execution]:
        """Return summaries, newest first; the paging key is the id.

        Looks at ``WINDOW`` executions at most, unless ``page.skip`` is set: see ``Slice.next_after``.
        """
        ...

    async def count_executions(self, wanted: ExecutionFilter) -> int:
        """Return how many there are, all counted."""
        ...

    async def group_executions(self, wanted: ExecutionFilter, by: Ref, limit: int) -> tuple[Group, ...]:
        """Return how many there are of each value of a field, the largest groups first."""
        ...

    async def select_executions(self, wanted: ExecutionFilter, limit: int) -> tuple[str, ...]:
        """Return ids, newest first."""
        ...

    async def read_events(
        self,
        execution_id: str,
        *,
        after: int = 0,
        limit: int = 1_000,
        max_bytes: int = 2 * 1024 * 1024,
        payloads: bool = True,
    ) -> tuple[Event, ...]:
        """Return events in order, those with a number above ``after``.

        Ends early rather than exceed ``max_bytes``, but never before the first
        event. Without ``payloads`` every input, output and result is ``b"{}"``.
        """
        ...

    async def get_execution_by_key(self, key: str) -> Execution | None:
        """Return the newest execution of a key."""
        ...
