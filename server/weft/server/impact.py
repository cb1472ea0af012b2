"""What another form of a service would break: workflows that name it, and their open executions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final

from weft.core.errors import PreconditionError
from weft.core.reasons import Reason
from weft.server.execution.history.model import ExecutionState
from weft.server.query.predicate import Any, Compare, Ref, Test
from weft.server.registry.model import Service
from weft.server.store.base import ExecutionFilter, ExecutionStore, Page
from weft.server.workflow.model import Problem, Severity, Workflow, WorkflowState
from weft.server.workflow.service import WorkflowService
from weft.server.workflow.surroundings import services_named

__all__ = ["BrokenWorkflow", "Impact", "Judgement", "changes_schemas", "refusal"]

_log = logging.getLogger("weft.server.registry")

_PAGE: Final = 200
_MOST: Final = 100
"""Broken workflows that are told, of the rest not even the number: then it is known enough."""
_TOLD: Final = 10
"""Those that a refusal names."""
_VERSIONS: Final = 1_000
_OPEN: Final = Any(
    tuple(Test(Ref("state"), Compare.EQUAL, state.value) for state in ExecutionState if not state.final)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenWorkflow:
    """A version of a workflow that would be no longer right."""

    name: str
    """The workflow."""
    version: int
    """Which version."""
    latest: bool
    """Whether it is the newest one, so that new executions get it."""
    open_executions: int
    """How many executions of it have not ended."""
    problems: tuple[Problem, ...]
    """The errors that there would be, and are not now."""


class Impact:
    """Finds what a change of a service breaks.

    Looked at are the newest versions of workflows that can be started, and every
    version of which an execution is open.

    Args:
        workflows: All of them.
        executions: Those that are open.
    """

    def __init__(self, workflows: WorkflowService, executions: ExecutionStore) -> None:
        self._workflows = workflows
        self._executions = executions

    async def of(self, before: Service, after: Service) -> tuple[BrokenWorkflow, ...]:
        """Return what a service would break in another form, by name and version."""
        if not changes_schemas(before, after):
            return ()
        found: list[BrokenWorkflow] = []
        async for workflow in self._all():
            found += await self._of_workflow(workflow, before, after)
            if len(found) >= _MOST:
                break
            await asyncio.sleep(0)  # others have their turn: each check takes a moment
        return tuple(found[:_MOST])

    async def _all(self) -> AsyncIterator[Workflow]:
        after = ""
        while True:
            page = await self._workflows.list(None, Page(size=_PAGE, after=after))
            for workflow in page.items:
                yield workflow
            if not page.more:
                return
            after = page.items[-1].name

    async def _of_workflow(self, newest: Workflow, before: Service, after: Service) -> list[BrokenWorkflow]:
        if newest.version == 1 and before.name not in services_named(newest.definition):
            return []
        open_ones = await self._open(newest)
        versions = set(open_ones)
        if newest.state is not WorkflowState.INACTIVE:
            versions.add(newest.version)
        found = []
        for version in sorted(versions):
            workflow = newest if version == newest.version else await self._workflows.find(newest.id, version)
            if workflow is None or before.name not in services_named(workflow.definition):
                continue
            problems = await self._new_problems(workflow, before, after)
            if problems:
                broken = BrokenWorkflow(
                    name=newest.name,
                    version=version,
                    latest=version == newest.version,
                    open_executions=open_ones.get(version, 0),
                    problems=problems,
                )
                found.append(broken)
        return found

    async def _open(self, workflow: Workflow) -> dict[int, int]:
        """Return how many executions of each version are open."""
        wanted = ExecutionFilter(workflow_id=workflow.id, where=_OPEN)
        groups = await self._executions.group_executions(wanted, Ref("version"), _VERSIONS)
        return {int(group.value): group.count for group in groups}

    async def _new_problems(self, workflow: Workflow, before: Service, after: Service) -> tuple[Problem, ...]:
        old = await self._errors(workflow, {before.name: before})
        new = await self._errors(workflow, {before.name: None, after.name: after})
        known = {(problem.path, problem.code) for problem in old}
        return tuple(problem for problem in new if (problem.path, problem.code) not in known)

    async def _errors(self, workflow: Workflow, services: Mapping[str, Service | None]) -> list[Problem]:
        problems = await self._workflows.problems_with(workflow, services)
        return [problem for problem in problems if problem.severity is Severity.ERROR]


class Judgement:
    """What one change of a service breaks, found out before it is written.

    Args:
        impact: Finds it.
        reject: Whether the change is refused for it.
    """

    def __init__(self, impact: Impact, *, reject: bool) -> None:
        self._impact = impact
        self._reject = reject
        self.broken: tuple[BrokenWorkflow, ...] = ()

    async def __call__(self, before: Service, after: Service) -> None:
        """Look at a service as it is and as it is to be.

        Raises:
            PreconditionError: SCHEMA_BREAKS_WORKFLOWS, when that is to be refused.
        """
        self.broken = await self._impact.of(before, after)
        if self.broken and self._reject:
            raise refusal(before.name, self.broken)
        if self.broken:
            names = ", ".join(f"{it.name}@{it.version}" for it in self.broken[:_TOLD])
            _log.warning("service %s has new schemas that break workflows: %s", before.name, names)


def changes_schemas(before: Service, after: Service) -> bool:
    """Tell whether workflows could see a difference."""
    return before.name != after.name or _signatures(before) != _signatures(after)


def _signatures(service: Service) -> list[object]:
    return [
        (
            it.version,
            sorted(
                (action.name, repr(action.input_schema), repr(action.output_schema)) for action in it.actions
            ),
        )
        for it in service.versions
    ]


def refusal(service: str, broken: tuple[BrokenWorkflow, ...]) -> PreconditionError:
    """Return the error that names what would be broken."""
    names = [f"{it.name}@{it.version}" for it in broken]
    told = ", ".join(names[:_TOLD]) + (f" and {len(names) - _TOLD} more" if len(names) > _TOLD else "")
    count = sum(it.open_executions for it in broken)
    first = broken[0].problems[0]
    return PreconditionError(
        f"with these schemas of {service!r} these workflows are no longer right: {told}; "
        f"{count:,} open executions run them. First: {names[0]}, {first.path}: {first.message}",
        reason=Reason.SCHEMA_BREAKS_WORKFLOWS,
        metadata={"service": service, "workflows": told, "open_executions": str(count)},
    )
