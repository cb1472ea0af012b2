"""Use cases of many executions: pages, counts, and what a batch works on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from weft.core.clock import Clock
from weft.server.execution.filters import with_workflow_ids
from weft.server.execution.history.model import Execution, ExecutionState
from weft.server.query.predicate import Predicate, Ref
from weft.server.store.base import ExecutionFilter, ExecutionStore, Group, Page, Slice
from weft.server.workflow.service import WorkflowService

__all__ = ["Counted", "ExecutionLists"]

_WINDOWS: Final = 20
"""In how many windows of the store one request looks for a page."""
_GROUPS: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What was counted."""

    total: int
    """How many in all."""
    groups: tuple[Group, ...] = ()
    """The largest groups, the largest first."""
    names: dict[str, str]
    """Names of the workflows that are groups, by id."""


class ExecutionLists:
    """Reads many executions.

    Args:
        store: Where they are.
        workflows: Knows ids behind names.
        clock: Says what ``now`` is in a filter.
    """

    def __init__(self, store: ExecutionStore, workflows: WorkflowService, clock: Clock) -> None:
        self._store = store
        self._workflows = workflows
        self._clock = clock

    def now(self) -> datetime:
        """Return what ``now`` means in a filter that is read now."""
        return self._clock.now()

    async def wanted(
        self, where: Predicate | None, *, workflow: str = "", state: ExecutionState | None = None
    ) -> ExecutionFilter:
        """Return a filter with ids where it names workflows.

        Raises:
            ResourceNotFoundError: WORKFLOW_NOT_FOUND: there is no such name.
        """
        resolve = self._workflows.resolve_id
        return ExecutionFilter(
            workflow_id=await resolve(workflow) if workflow else None,
            state=state,
            where=None if where is None else await with_workflow_ids(where, resolve),
        )

    async def page(self, wanted: ExecutionFilter, page: Page) -> Slice[Execution]:
        """Return a page of summaries, newest first, looked for in a bounded number of windows."""
        first = found = await self._store.list_executions(wanted, page)
        items = list(found.items)
        for _ in range(_WINDOWS - 1):
            missing = page.size - len(items)
            if not found.next_after or not missing:
                break
            rest = Page(size=missing, after=found.next_after, counted=False)
            found = await self._store.list_executions(wanted, rest)
            items += found.items
        return replace(first, items=tuple(items), more=found.more, next_after=found.next_after)

    async def count(self, wanted: ExecutionFilter, by: Ref | None) -> Counted:
        """Count executions by a value that they have in common."""
        total = await self._store.count_executions(wanted)
        if by is None:
            return Counted(total=total, names={})
        groups = await self._store.group_executions(wanted, by, _GROUPS)
        names: dict[str, str] = {}
        if by == Ref("workflow"):
            for group in groups:
                workflow = await self._workflows.find(str(group.value), 0)
                if workflow is not None:
                    names[str(group.value)] = workflow.name
        return Counted(total=total, groups=groups, names=names)

    async def select(self, wanted: ExecutionFilter, limit: int) -> tuple[str, ...]:
        """Return ids, newest first."""
        return await self._store.select_executions(wanted, limit)
