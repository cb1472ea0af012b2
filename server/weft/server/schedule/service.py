"""Use cases of schedules."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from weft.core.clock import Clock
from weft.core.errors import ConflictError, ResourceNotFoundError, ValidationError, Violation
from weft.core.names import SCHEDULE_PREFIX, new_id
from weft.server.execution.history.plan import Plan as WorkflowPlan
from weft.server.registry.suggest import not_found
from weft.server.schedule.checks import never_fires
from weft.server.schedule.model import Action, Plan, Schedule, ScheduleState
from weft.server.schedule.spec import Spec
from weft.server.schedule.times import times_of
from weft.server.store.base import Page, RequestKey, Slice, StaleWriteError
from weft.server.store.schedules import ScheduleStore
from weft.server.workflow.service import WorkflowService

__all__ = ["Change", "ScheduleService"]

Change = Callable[[Schedule], Schedule]
"""What an update does to the schedule as it is then."""


class Plans(Protocol):
    """Finds what a workflow does."""

    async def find_plan(self, workflow_id: str, version: int) -> WorkflowPlan:
        """Return what a workflow's version does."""
        ...


class ScheduleService:
    """Creates, changes and shows schedules; ``ScheduleRunner`` works on them.

    Args:
        store: Where they are kept.
        workflows: What can be started.
        plans: Tells what input a workflow takes.
        clock: For times.
        on_change: Called when there is something to do.
    """

    def __init__(
        self,
        store: ScheduleStore,
        workflows: WorkflowService,
        plans: Plans,
        clock: Clock,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._workflows = workflows
        self._plans = plans
        self._clock = clock
        self._on_change = on_change

    async def create(self, draft: Schedule, key: RequestKey | None) -> Schedule:
        """Store a new schedule; a repeat returns what the first request made.

        Raises:
            ValidationError: It never fires, or the input does not fit the workflow's schema.
            ResourceNotFoundError: WORKFLOW_NOT_FOUND, WORKFLOW_VERSION_NOT_FOUND; of a repeat also
                SCHEDULE_NOT_FOUND, when it was deleted.
            AlreadyExistsError: SCHEDULE_EXISTS, REQUEST_ID_REUSED.
        """
        if key is not None and (first := await self._store.recall_schedule(key)):
            return await self.get(first)
        now = self._clock.now()
        draft = replace(draft, id=new_id(SCHEDULE_PREFIX, now), create_time=now, update_time=now)
        fresh = _planned(await self._checked(draft, None), now)
        try:
            stored = await self._store.insert_schedule(fresh, now, key)
        except StaleWriteError:
            raise await self.not_found(draft.name) from None
        self._on_change()
        return stored

    async def update(self, ref: str, etag: str, change: Change, key: RequestKey | None) -> Schedule:
        """Change a schedule.

        Raises:
            ValidationError: As ``create``.
            ResourceNotFoundError: SCHEDULE_NOT_FOUND, or as ``create``.
            ConflictError: ETAG_MISMATCH.
        """
        if key is not None and (first := await self._store.recall_schedule(key)):
            return await self.get(first)
        while True:
            current = await self.get(ref)
            _check_etag(etag, current)
            new = change(current)
            if new == current and key is None:
                return current
            now = self._clock.now()
            if new != current:
                new = replace(new, revision=current.revision + 1, update_time=now)
                new = await self._changed(current, new, now)
            try:
                stored = await self._store.update_schedule(new, current.revision, now, key)
            except StaleWriteError:
                continue
            self._on_change()
            return stored

    async def pause(self, ref: str, note: str, etag: str, key: RequestKey | None) -> Schedule:
        """Stop a schedule from firing; one that is COMPLETED stays as it is.

        Raises:
            ResourceNotFoundError: SCHEDULE_NOT_FOUND.
            ConflictError: ETAG_MISMATCH.
        """

        def change(current: Schedule) -> Schedule:
            if current.state is ScheduleState.COMPLETED:
                return current
            return replace(current, state=ScheduleState.PAUSED, note=note)

        return await self.update(ref, etag, change, key)

    async def resume(self, ref: str, note: str, etag: str, key: RequestKey | None) -> Schedule:
        """Let a paused schedule fire again, from now on.

        Raises:
            ResourceNotFoundError: SCHEDULE_NOT_FOUND.
            ConflictError: ETAG_MISMATCH.
        """

        def change(current: Schedule) -> Schedule:
            if current.state is not ScheduleState.PAUSED:
                return current
            return replace(current, state=ScheduleState.ACTIVE, note=note)

        return await self.update(ref, etag, change, key)

    async def delete(self, ref: str, etag: str, key: RequestKey | None) -> None:
        """Delete a schedule; what it started goes on.

        Raises:
            ResourceNotFoundError: SCHEDULE_NOT_FOUND.
            ConflictError: ETAG_MISMATCH.
        """
        if key is not None and await self._store.recall_schedule(key):
            return
        while True:
            current = await self.get(ref)
            _check_etag(etag, current)
            try:
                await self._store.delete_schedule(current.id, current.revision, key)
            except StaleWriteError:
                continue
            return

    async def get(self, ref: str) -> Schedule:
        """Return a schedule as it stands.

        Raises:
            ResourceNotFoundError: SCHEDULE_NOT_FOUND.
        """
        found = await self._store.get_schedule(ref)
        if found is None:
            raise await self.not_found(ref)
        return found

    async def problems(self, spec: Spec | None, action: Action | None) -> list[Violation]:
        """Return what is wrong with parts that are right by themselves; None is not looked at."""
        found = never_fires(spec, self._clock.now(), "schedule.spec") if spec else []
        if action is not None:
            with suppress(ResourceNotFoundError):
                found += (await self._check_action(action))[1]
        return found

    # ---- what is checked

    async def _checked(self, new: Schedule, old: Schedule | None) -> Schedule:
        """Check what changed against what there is, and note which workflow is meant.

        Raises:
            ValidationError: It never fires, or the input does not fit.
            ResourceNotFoundError: WORKFLOW_NOT_FOUND, WORKFLOW_VERSION_NOT_FOUND, …
        """
        found: list[Violation] = []
        if old is None or old.spec != new.spec:
            found += never_fires(new.spec, self._clock.now(), "schedule.spec")
        if old is None or old.action != new.action:
            workflow_id, faults = await self._check_action(new.action)
            new = replace(new, workflow_id=workflow_id)
            found += faults
        if found:
            raise ValidationError(found)
        return new

    async def _check_action(self, action: Action) -> tuple[str, list[Violation]]:
        workflow = await self._workflows.resolve_version(action.workflow, action.version, action.alias)
        plan = await self._plans.find_plan(workflow.id, workflow.version)
        return workflow.id, list(plan.input_schema.violations(action.input, "schedule.action.input"))

    async def _changed(self, current: Schedule, new: Schedule, now: datetime) -> Schedule:
        """Check a change, and plan anew where it calls for that."""
        new = await self._checked(new, current)
        fires = new.spec != current.spec or new.policies.max_runs != current.policies.max_runs
        if fires and new.state is ScheduleState.COMPLETED:
            new = replace(new, state=ScheduleState.ACTIVE)
        if fires or new.state is not current.state:
            new = _planned(new, now, current)
        return new

    async def not_found(self, ref: str) -> ResourceNotFoundError:
        """Say that a schedule is not there, and which name may be meant."""
        return await not_found("schedule", ref, SCHEDULE_PREFIX, self._names_after)

    async def _names_after(self, after: str, size: int) -> Iterable[str]:
        page = await self._store.list_schedules("", None, Page(size=size, after=after))
        return [schedule.name for schedule in page.items]

    async def list(self, workflow: str, state: ScheduleState | None, page: Page) -> Slice[Schedule]:
        """Return schedules by name.

        Raises:
            ResourceNotFoundError: WORKFLOW_NOT_FOUND.
        """
        workflow_id = await self._workflows.resolve_id(workflow) if workflow else ""
        return await self._store.list_schedules(workflow_id, state, page)


def _planned(schedule: Schedule, now: datetime, old: Schedule | None = None) -> Schedule:
    """Plan the next time from now on."""
    limit = schedule.policies.max_runs
    remaining = schedule.plan.remaining
    if old is None or old.policies.max_runs != limit:
        remaining = limit or None
    fires = schedule.state is ScheduleState.ACTIVE and remaining != 0
    plan = Plan(
        next_time=times_of(schedule.spec).after(now) if fires else None,
        last_time=schedule.plan.last_time,
        remaining=remaining,
    )
    return replace(schedule, plan=plan)


def _check_etag(etag: str, current: Schedule) -> None:
    if etag and etag != current.etag:
        raise ConflictError(
            f"schedule {current.name!r} changed since {etag!r} was read: it is {current.etag!r} now",
            metadata={"etag": etag, "current_etag": current.etag},
        )
