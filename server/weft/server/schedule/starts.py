"""Starts what a schedule starts, and ends what stands in its way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, Protocol

from weft.core.context import CallContext
from weft.core.errors import PreconditionError, ResourceNotFoundError
from weft.server.execution.history.model import Execution
from weft.server.execution.service import ExecutionService
from weft.server.execution.starting.start_commands import StartCommand
from weft.server.schedule.model import Run, Schedule
from weft.server.store.base import ExecutionStore, RequestKey

__all__ = ["NAME_ATTRIBUTE", "TIME_ATTRIBUTE", "Executions", "ScheduledExecutions", "scheduled_time"]

NAME_ATTRIBUTE: Final = "schedule"
TIME_ATTRIBUTE: Final = "scheduled_time"
_METHOD: Final = "weft.api.schedule.v1.ScheduleService/Run"


class Executions(Protocol):
    """What a schedule needs of executions."""

    async def recall(self, schedule: Schedule, run: Run) -> Execution | None:
        """Return what was started for a run, such as before a crash."""
        ...

    async def start(self, schedule: Schedule, run: Run) -> Execution:
        """Start an execution for a run, unless one was.

        Raises:
            WeftError: It cannot be.
        """
        ...

    async def find(self, execution_ids: Sequence[str]) -> dict[str, Execution]:
        """Return executions as they stand; those that are gone are left out."""
        ...

    async def end(self, execution_ids: Sequence[str], reason: str, *, at_once: bool) -> None:
        """Ask executions to end.

        Args:
            execution_ids: Which.
            reason: Why, for their histories.
            at_once: Without what they still do when they are cancelled.

        Raises:
            ServiceUnavailableError: Somebody who has one of them cannot be reached now.
        """
        ...


class ScheduledExecutions:
    """Starts and ends executions of schedules.

    Args:
        executions: Their use cases.
        store: Where they are kept.
    """

    def __init__(self, executions: ExecutionService, store: ExecutionStore) -> None:
        self._executions = executions
        self._store = store

    async def recall(self, schedule: Schedule, run: Run) -> Execution | None:
        """Return what was started for a run, such as before a crash."""
        return await self._store.recall_execution(_key(schedule, run))

    async def start(self, schedule: Schedule, run: Run) -> Execution:
        """Start an execution for a run, unless one was: there is one for each key, whoever asks how often."""
        return await self._executions.start(start_command(schedule, run))

    async def find(self, execution_ids: Sequence[str]) -> dict[str, Execution]:
        """Return executions as they stand; those that are gone are left out."""
        found = await asyncio.gather(*map(self._store.get_execution, execution_ids))
        return {execution.id: execution for execution in found if execution is not None}

    async def end(self, execution_ids: Sequence[str], reason: str, *, at_once: bool) -> None:
        """Ask executions to end."""
        for execution_id in execution_ids:
            with suppress(PreconditionError, ResourceNotFoundError):  # it has ended
                await self._executions.cancel(execution_id, reason, at_once=at_once)


def start_command(schedule: Schedule, run: Run) -> StartCommand:
    """Return what is started for a run."""
    action = schedule.action
    origin = {NAME_ATTRIBUTE: schedule.name, TIME_ATTRIBUTE: scheduled_time(run.planned_time)}
    return StartCommand(
        workflow=action.workflow,
        version=action.version,
        alias=action.alias,
        input=action.input,
        text=action.text,
        context=_context(action.context, origin, f"{schedule.id}/{run.key}"),
        timeout=action.timeout,
        key=_key(schedule, run),
        attributes={**action.attributes, **origin},
    )


def _key(schedule: Schedule, run: Run) -> RequestKey:
    # Whatever is started by now: the schedule may have been changed since it was.
    return RequestKey(_METHOD, f"{schedule.id}/{run.key}", b"")


def _context(context: CallContext, origin: dict[str, str], request_id: str) -> CallContext:
    return replace(context, request_id=context.request_id or request_id, values={**context.values, **origin})


def scheduled_time(moment: datetime) -> str:
    """Write a planned time, so that texts sort as times."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
