"""The store port: what the server needs kept, and the promises of whoever keeps it.

Promises of every adapter:

* Each method is one transaction, and it is durable when the method returns.
* Concurrent calls may share a commit (group commit); none sees another's
  uncommitted writes.
* A write that fails with ``StoreUnavailableError`` has an *unknown* outcome: it
  may be there after the store is back. The adapter has then told its listeners
  ``BROKEN``, and tells them ``HEALTHY`` once it has reopened and can be read.
* A repeat with the same ``RequestKey`` writes nothing and returns what the first
  one returned.

Several servers may share a store. Each holds a lease with an **epoch** of its own,
by the store's clock; the adapter takes it in ``open``, renews it, and frees what a
server held whose lease ran out. An execution in work belongs to one epoch; writes to
it are fenced: those of an epoch that is gone, or that does not own it, write nothing.
An adapter that lost its lease tells ``BROKEN``, takes a new one, and tells
``HEALTHY``. What waits for longer than a moment belongs to nobody: any server may
claim it when it is due.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, unique
from typing import Protocol

from weft.server.execution.model import Event, Execution
from weft.server.query.predicate import Ref
from weft.server.registry.model import Heartbeat, Instance, Service, ServiceState
from weft.server.store.batches import BatchStore
from weft.server.store.errors import (
    KeyTakenError,
    SlotFullError,
    StoreDamagedError,
    StoreFullError,
    StoreInUseError,
    StoreUnavailableError,
)
from weft.server.store.schedules import ScheduleStore
from weft.server.store.step_shares import StepShareStore
from weft.server.store.upkeep import UpkeepStore
from weft.server.store.values import (
    COUNT_LIMIT,
    WINDOW,
    ExecutionFilter,
    Group,
    Page,
    RequestKey,
    Slice,
    StaleWriteError,
    WhenFull,
)
from weft.server.workflow.model import Workflow, WorkflowState

__all__ = [
    "COUNT_LIMIT",
    "WINDOW",
    "Claim",
    "Command",
    "ExecutionFilter",
    "ExecutionStore",
    "Group",
    "KeyTakenError",
    "Page",
    "RegistryStore",
    "RequestKey",
    "Slice",
    "SlotFullError",
    "StaleWriteError",
    "Store",
    "StoreDamagedError",
    "StoreFullError",
    "StoreInUseError",
    "StoreState",
    "StoreUnavailableError",
    "WhenFull",
    "WorkflowStore",
]


@unique
class StoreState(StrEnum):
    """Whether the store can do its work."""

    HEALTHY = "HEALTHY"
    BROKEN = "BROKEN"


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


class RegistryStore(Protocol):
    """Services and the instances that were registered. Lists are by name, or by id for instances.

    Descriptor sets come back from ``get_service`` only: what is listed or
    recalled goes without them, and must not be written back.
    """

    async def recall_service(self, key: RequestKey) -> Service | None:
        """Return what the first request with this key returned.

        Raises:
            AlreadyExistsError: REQUEST_ID_REUSED: its content was another.
        """
        ...

    async def insert_service(self, service: Service, key: RequestKey | None = None) -> Service:
        """Store a new service.

        Raises:
            AlreadyExistsError: SERVICE_EXISTS, or REQUEST_ID_REUSED.
        """
        ...

    async def update_service(
        self, service: Service, expected_revision: int, key: RequestKey | None = None
    ) -> Service:
        """Replace a service that still has the expected revision.

        Raises:
            AlreadyExistsError: SERVICE_EXISTS: the new name is taken; or REQUEST_ID_REUSED.
            StaleWriteError: It has another revision, or is gone.
        """
        ...

    async def delete_service(
        self, service: Service, expected_revision: int, key: RequestKey | None = None
    ) -> None:
        """Remove a service that still has the expected revision, and its instances.

        The key recalls the service as it was.

        Raises:
            StaleWriteError: It has another revision, or is gone.
            AlreadyExistsError: REQUEST_ID_REUSED.
        """
        ...

    async def get_service(self, ref: str) -> Service | None:
        """Return a service by id or by name."""
        ...

    async def list_services(self, state: ServiceState | None, page: Page) -> Slice[Service]:
        """Return services by name; the paging key is the name."""
        ...

    async def put_instance(self, instance: Instance) -> None:
        """Store an instance, or replace the one with its id.

        Raises:
            StaleWriteError: Its service is gone.
        """
        ...

    async def delete_instance(self, instance_id: str) -> bool:
        """Remove an instance; tell whether it was there."""
        ...

    async def all_instances(self) -> tuple[Instance, ...]:
        """Return every instance, by id."""
        ...

    async def exchange_heartbeats(self, heard: Sequence[Heartbeat]) -> tuple[Heartbeat, ...]:
        """Tell other servers which instances were heard of here, and return what they heard of late.

        Not durable; an instance that is gone is left out.
        """
        ...

    def on_instances_change(self, listener: Callable[[], None]) -> None:
        """Call back in the event loop when another server may have added or removed instances.

        At the latest one second after it did.
        """
        ...

    def on_catalog_change(self, listener: Callable[[], None]) -> None:
        """Call back in the event loop when another server may have changed services or workflows.

        At the latest one second after it did.
        """
        ...


class WorkflowStore(Protocol):
    """Workflows and all their versions. Lists are by name, versions newest first."""

    def on_catalog_change(self, listener: Callable[[], None]) -> None:
        """Call back in the event loop when another server may have changed services or workflows.

        At the latest one second after it did.
        """
        ...

    async def recall_workflow(self, key: RequestKey) -> Workflow | None:
        """Return what the first request with this key returned.

        Raises:
            AlreadyExistsError: REQUEST_ID_REUSED: its content was another.
        """
        ...

    async def insert_workflow(self, workflow: Workflow, key: RequestKey | None = None) -> Workflow:
        """Store a new workflow with its first version.

        Raises:
            AlreadyExistsError: WORKFLOW_EXISTS, or REQUEST_ID_REUSED.
        """
        ...

    async def update_workflow(
        self, workflow: Workflow, expected_revision: int, key: RequestKey | None = None
    ) -> Workflow:
        """Replace a workflow that still has the expected revision.

        A version that is not stored yet is added; a stored version never
        changes what it does.

        Raises:
            AlreadyExistsError: WORKFLOW_EXISTS: the new name is taken; or REQUEST_ID_REUSED.
            StaleWriteError: It has another revision, or is deleted.
        """
        ...

    async def delete_workflow(
        self, workflow: Workflow, expected_revision: int, key: RequestKey | None = None
    ) -> None:
        """Mark a workflow as deleted; its name is free, its versions stay.

        The key recalls the workflow as it was.

        Raises:
            StaleWriteError: It has another revision, or is deleted.
            AlreadyExistsError: REQUEST_ID_REUSED.
        """
        ...

    async def get_workflow(self, ref: str, version: int = 0) -> Workflow | None:
        """Return a workflow by id or by name, in its latest version or the one given.

        A deleted one is found by its id only, with ``deleted`` set.
        """
        ...

    async def list_workflows(
        self, state: WorkflowState | None, page: Page, labels: Mapping[str, str] | None = None
    ) -> Slice[Workflow]:
        """Return workflows that are not deleted, by name; the paging key is the name.

        With labels: only those that have all of them in their newest version.
        """
        ...

    async def list_workflow_versions(self, workflow_id: str, page: Page) -> Slice[Workflow]:
        """Return the versions of a workflow, newest first; the paging key is the version in decimal."""
        ...


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


class Store(
    RegistryStore,
    WorkflowStore,
    ExecutionStore,
    BatchStore,
    ScheduleStore,
    UpkeepStore,
    StepShareStore,
    Protocol,
):
    """Everything that is kept, in one place."""

    @property
    def name(self) -> str:
        """What it is, for people, such as ``sqlite /var/lib/weft/weft.db``."""
        ...

    @property
    def state(self) -> StoreState:
        """Whether it can do its work, as far as is known."""
        ...

    async def open(self) -> None:
        """Make ready: take ownership, migrate, recover.

        Raises:
            StoreInUseError: Another process has it.
            StoreUnavailableError: It cannot be opened; the message says why.
        """
        ...

    async def close(self) -> None:
        """Finish what waits and let go. Idempotent."""
        ...

    async def check(self) -> None:
        """Prove that it can be written and read.

        Raises:
            StoreUnavailableError: It cannot be.
            StoreFullError: There is no space left.
        """
        ...

    def subscribe(self, listener: Callable[[StoreState], None]) -> None:
        """Call back in the event loop at every change of ``state``."""
        ...

    async def forget_requests(self, before: datetime) -> int:
        """Delete request keys of registry and workflow mutations that are older; return how many."""
        ...
