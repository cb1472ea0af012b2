"""What a definition is checked against: the services and workflows that it names, as they are now."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from weft.server.registry.model import Service, ServiceState
from weft.server.workflow.checks.checks import KnownWorkflow, find_problems
from weft.server.workflow.kinds import Child, Map
from weft.server.workflow.model import Definition, Problem, Workflow

__all__ = ["FindService", "FindWorkflow", "Names", "Surroundings", "children_named", "services_named"]

FindService = Callable[[str], Awaitable[Service | None]]
FindWorkflow = Callable[[str, int], Awaitable[Workflow | None]]
"""Returns a workflow by name and version; version 0 is the newest."""
Names = Callable[[], AsyncIterator[str]]

_MAX_READ: Final = 1_000
"""Versions of workflows that are read for one check; what those run that are left is not followed."""
_MAX_NAMES: Final = 10_000
"""Names that are looked at for a suggestion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Reads what a definition names.

    Services may be given in other forms than they are registered: what would
    change then is what is asked.
    """

    find_service: FindService
    """Looks a service up by name."""
    service_names: Names | None
    """Tells the names of all services, for hints; none: only those that are found."""
    find_workflow: FindWorkflow
    """Looks a workflow up by name and version."""
    workflow_names: Names
    """Tells the names of all workflows, for hints."""

    async def problems(
        self,
        definition: Definition,
        *,
        name: str = "",
        kept: Definition | None = None,
        changed: Mapping[str, Service | None] | None = None,
    ) -> tuple[Problem, ...]:
        """Find everything that is wrong with a definition.

        Args:
            definition: What to check.
            name: The workflow that it is one of.
            kept: What it follows on: a deprecated service that stands there may stay.
            changed: Services in another form than they are registered, by name; None for one that is gone.
        """
        services = await self._services(definition, kept, changed or {})
        missing = services_named(definition) - services.keys()
        others = await _some(self.service_names) if missing else []
        workflows = await self._workflows(definition)
        lost = {child.name for child in children_named(definition)} - workflows.keys() - {name}
        other_workflows = await _some(self.workflow_names) if lost else []
        return tuple(
            find_problems(
                definition, services, others, workflows=workflows, other_workflows=other_workflows, name=name
            )
        )

    async def _services(
        self, definition: Definition, kept: Definition | None, changed: Mapping[str, Service | None]
    ) -> dict[str, Service]:
        there = services_named(kept) if kept else set[str]()
        services: dict[str, Service] = {}
        for name in sorted(services_named(definition)):
            service = changed[name] if name in changed else await self.find_service(name)
            if service is not None:
                tolerated = service.state is ServiceState.DEPRECATED and name in there
                services[name] = replace(service, state=ServiceState.ACTIVE) if tolerated else service
        return services

    async def _workflows(self, definition: Definition) -> dict[str, KnownWorkflow]:
        """Return the workflows that a definition runs, and those that they run."""
        found: dict[str, KnownWorkflow] = {}
        read: set[tuple[str, int]] = set()
        pending = deque(children_named(definition))
        while pending and len(read) < _MAX_READ:
            child = pending.popleft()
            known = found.get(child.name) or await self._known(child.name)
            if known is None:
                continue
            found[child.name] = known
            for version in known.versions(child) or ():
                if (child.name, version) in read:
                    continue
                read.add((child.name, version))
                workflow = await self.find_workflow(child.name, version)
                if workflow is not None:
                    definitions = {**found[child.name].definitions, version: workflow.definition}
                    found[child.name] = replace(found[child.name], definitions=definitions)
                    pending.extend(children_named(workflow.definition))
        return found

    async def _known(self, name: str) -> KnownWorkflow | None:
        newest = await self.find_workflow(name, 0) if name else None
        return known_workflow(newest) if newest is not None and not newest.deleted else None


def known_workflow(newest: Workflow) -> KnownWorkflow:
    """Return a workflow as checks know it, by its newest version."""
    return KnownWorkflow(
        name=newest.name,
        latest=newest.version,
        definitions={newest.version: newest.definition},
        state=newest.state,
        aliases=newest.aliases,
    )


def services_named(definition: Definition) -> set[str]:
    """Return the names of all services that a definition calls."""
    names: set[str] = set()
    for step in definition.every_step():
        names.add(step.service)
        if step.compensate is not None:
            names.add(step.compensate.service)
    return names - {""}


def children_named(definition: Definition) -> Iterator[Child]:
    """Yield each workflow that a definition runs, by version and alias, once."""
    seen: dict[Child, None] = {}
    for step in definition.every_step():
        match step.does:
            case Child() as child:
                seen[child] = None
            case Map(workflow=Child() as child):
                seen[child] = None
            case _:
                pass
    yield from seen


async def _some(names: Names | None) -> list[str]:
    """Return names, as many as are looked at."""
    found: list[str] = []
    if names is not None:
        async for name in names():
            found.append(name)
            if len(found) >= _MAX_NAMES:
                break
    return found
