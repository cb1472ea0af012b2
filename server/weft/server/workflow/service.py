"""Use cases of workflows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol

from weft.core.clock import Clock
from weft.core.errors import ConflictError, ResourceNotFoundError, ValidationError, Violation
from weft.core.names import WORKFLOW_PREFIX, is_id, new_id
from weft.core.reasons import Reason
from weft.server.registry.model import Service
from weft.server.registry.suggest import not_found
from weft.server.store.base import Page, RequestKey, Slice, StaleWriteError, StoreState, WorkflowStore
from weft.server.tasks import to_its_end
from weft.server.workflow.aliases import choose_version, with_alias, without_alias
from weft.server.workflow.model import Definition, Problem, Severity, Share, Workflow, WorkflowState
from weft.server.workflow.surroundings import FindService, Names, Surroundings

__all__ = ["WorkflowService"]

_NAMES_AT_ONCE: Final = 500


class StateListener(Protocol):
    """Is told of workflows that were paused or resumed."""

    def __call__(self, workflow_id: str, *, paused: bool) -> None:
        """Take note of one."""


class WorkflowService:
    """Creates, versions and finds workflows.

    Args:
        store: Where workflows are kept.
        find_service: Looks a service up by name, for checking definitions.
        clock: For times.
        service_names: Tells the names of all services, for hints; none: only those that are found.
    """

    def __init__(
        self,
        store: WorkflowStore,
        find_service: FindService,
        clock: Clock,
        *,
        service_names: Names | None = None,
    ) -> None:
        self._store = store
        self._surroundings = Surroundings(
            find_service=find_service,
            service_names=service_names,
            find_workflow=self.find,
            workflow_names=self._names,
        )
        self._clock = clock
        self._cache: dict[tuple[str, int], Workflow] = {}
        self._state_listeners: list[StateListener] = []
        self._changes = 0
        store.on_catalog_change(self._forget)

    async def create(self, draft: Workflow, key: RequestKey | None) -> tuple[Workflow, tuple[Problem, ...]]:
        """Store a new workflow as version 1; return it with the warnings.

        Raises:
            ValidationError: With every problem of the definition.
            AlreadyExistsError: WORKFLOW_EXISTS.
        """
        if key is not None and (first := await self._store.recall_workflow(key)) is not None:
            return first, ()
        warnings = await self.check(draft.definition, name=draft.name)
        now = self._clock.now()
        fresh = replace(
            draft,
            id=new_id(WORKFLOW_PREFIX),
            create_time=now,
            update_time=now,
            version_create_time=now,
        )
        return await to_its_end(self._store.insert_workflow(fresh, key), self._forget), warnings

    async def update(
        self, ref: str, etag: str, change: Callable[[Workflow], Workflow], key: RequestKey | None
    ) -> tuple[Workflow, tuple[Problem, ...]]:
        """Change a workflow; another definition is a new version.

        Raises:
            ValidationError: With every problem of the new definition.
            ResourceNotFoundError: WORKFLOW_NOT_FOUND.
            AlreadyExistsError: WORKFLOW_EXISTS: the new name is taken.
            ConflictError: ETAG_MISMATCH.
        """
        if key is not None and (first := await self._store.recall_workflow(key)) is not None:
            return first, ()
        while True:
            current = await self._existing(ref)
            _check_etag(etag, current)
            new = change(current)
            now = self._clock.now()
            warnings: tuple[Problem, ...] = ()
            if new != current:
                new = replace(new, revision=current.revision + 1, update_time=now)
            elif key is None:
                return current, ()  # with a key it is written as it is, so that the key is remembered
            if new.definition != current.definition:
                warnings = await self.check(new.definition, known=current.definition, name=new.name)
                new = replace(new, version=current.version + 1, version_create_time=now)
            try:
                return await to_its_end(
                    self._store.update_workflow(new, current.revision, key), self._forget
                ), warnings
            except StaleWriteError:
                continue

    async def check_change(self, ref: str, change: Callable[[Workflow], Workflow]) -> None:
        """Check the definition that a change would lead to, when the workflow is there.

        Raises:
            ValidationError: With every problem of the new definition.
        """
        current = await self.find(ref)
        if current is not None and not current.deleted:
            new = change(current)
            await self.check(new.definition, known=current.definition, name=new.name)

    async def set_state(self, ref: str, state: WorkflowState, etag: str, key: RequestKey | None) -> Workflow:
        """Move a workflow to another state.

        Raises:
            ResourceNotFoundError: WORKFLOW_NOT_FOUND.
            ConflictError: ETAG_MISMATCH.
        """
        workflow, _ = await self.update(ref, etag, lambda current: replace(current, state=state), key)
        for listener in self._state_listeners:
            listener(workflow.id, paused=workflow.state is WorkflowState.PAUSED)
        return workflow

    async def set_alias(
        self, ref: str, name: str, shares: tuple[Share, ...], etag: str, key: RequestKey | None
    ) -> Workflow:
        """Make an alias name versions of a workflow.

        Raises:
            ResourceNotFoundError: WORKFLOW_NOT_FOUND, WORKFLOW_VERSION_NOT_FOUND.
            ValidationError: There are too many.
            ConflictError: ETAG_MISMATCH.
        """

        def change(current: Workflow) -> Workflow:
            return replace(current, aliases=with_alias(current, name, shares))

        workflow, _ = await self.update(ref, etag, change, key)
        return workflow

    async def delete_alias(self, ref: str, name: str, etag: str, key: RequestKey | None) -> Workflow:
        """Remove an alias of a workflow; what runs keeps its version.

        Raises:
            ResourceNotFoundError: WORKFLOW_NOT_FOUND, WORKFLOW_ALIAS_NOT_FOUND.
            ConflictError: ETAG_MISMATCH.
        """

        def change(current: Workflow) -> Workflow:
            return replace(current, aliases=without_alias(current, name))

        workflow, _ = await self.update(ref, etag, change, key)
        return workflow

    def on_state_change(self, listener: StateListener) -> None:
        """Call back when a workflow was moved to another state here."""
        self._state_listeners.append(listener)

    def on_change_elsewhere(self, listener: Callable[[], None]) -> None:
        """Call back when a workflow may have been moved to another state at another server."""
        self._store.on_catalog_change(listener)

    async def delete(self, ref: str, etag: str, key: RequestKey | None) -> None:
        """Delete a workflow; what runs goes on.

        Raises:
            ResourceNotFoundError: WORKFLOW_NOT_FOUND.
            ConflictError: ETAG_MISMATCH.
        """
        if key is not None and await self._store.recall_workflow(key) is not None:
            return
        while True:
            current = await self._existing(ref)
            _check_etag(etag, current)
            try:
                await to_its_end(self._store.delete_workflow(current, current.revision, key), self._forget)
            except StaleWriteError:
                continue
            return

    async def get(self, ref: str, version: int = 0) -> Workflow:
        """Return a workflow in its latest version, or the one given.

        Raises:
            ResourceNotFoundError: WORKFLOW_NOT_FOUND, WORKFLOW_VERSION_NOT_FOUND.
        """
        workflow = await self.find(ref, version)
        if workflow is None or workflow.deleted:
            if version and await self._alive(ref):
                raise ResourceNotFoundError(
                    "workflow version",
                    f"{ref}@{version}",
                    reason=Reason.WORKFLOW_VERSION_NOT_FOUND,
                )
            raise await self._not_found(ref)
        return workflow

    async def resolve_version(self, ref: str, version: int = 0, alias: str = "", seed: str = "") -> Workflow:
        """Return a workflow in the version that an execution runs.

        Args:
            ref: Id or name.
            version: Which version; 0: what the alias names, or else the latest.
            alias: Which alias; empty: none.
            seed: Decides which version it is, where an alias has several.

        Raises:
            ResourceNotFoundError: WORKFLOW_NOT_FOUND, WORKFLOW_VERSION_NOT_FOUND, WORKFLOW_ALIAS_NOT_FOUND.
        """
        if alias and not version:
            version = choose_version(await self.get(ref), alias, seed)
        return await self.get(ref, version)

    async def find(self, ref: str, version: int = 0) -> Workflow | None:
        """Return a workflow, also a deleted one by its id; what was read is kept until a change."""
        known = self._cache.get((ref, version))
        if known is not None:
            return known
        changes = self._changes
        workflow = await self._store.get_workflow(ref, version)
        if workflow is not None and changes == self._changes:
            self._cache[ref, version] = workflow
        return workflow

    async def resolve_id(self, ref: str) -> str:
        """Return the id behind an id or a name; an id is taken as it is, also of a deleted workflow.

        Raises:
            ResourceNotFoundError: WORKFLOW_NOT_FOUND: there is no such name.
        """
        return ref if is_id(ref, WORKFLOW_PREFIX) else (await self.get(ref)).id

    async def list(
        self, state: WorkflowState | None, page: Page, labels: Mapping[str, str] | None = None
    ) -> Slice[Workflow]:
        """Return workflows by name, those that have all of some labels.

        What only a newer release can read is named in ``unread``.
        """
        return await self._store.list_workflows(state, page, labels)

    async def list_versions(self, ref: str, page: Page) -> Slice[Workflow]:
        """Return the versions of a workflow, newest first.

        Raises:
            ResourceNotFoundError: WORKFLOW_NOT_FOUND.
        """
        workflow = await self.get(ref)
        return await self._store.list_workflow_versions(workflow.id, page)

    async def problems(
        self, definition: Definition, known: Definition | None = None, name: str = ""
    ) -> tuple[Problem, ...]:
        """Find everything that is wrong with a definition, against services and workflows as they are.

        Args:
            definition: What to check.
            known: What it follows on: a deprecated service that stands there may stay.
            name: The workflow that it is one of.
        """
        return await self._surroundings.problems(definition, name=name, kept=known)

    async def problems_with(
        self, workflow: Workflow, services: Mapping[str, Service | None]
    ) -> tuple[Problem, ...]:
        """Find what would be wrong with a stored workflow if services were as given.

        Args:
            workflow: In one of its versions.
            services: By name; None for one that is gone.
        """
        definition = workflow.definition
        return await self._surroundings.problems(
            definition, name=workflow.name, kept=definition, changed=services
        )

    async def _names(self) -> AsyncIterator[str]:
        """Yield the names of all workflows."""
        after = ""
        while True:
            page = await self._store.list_workflows(None, Page(size=_NAMES_AT_ONCE, after=after))
            for name in _named(page):
                yield name
            if not page.more:
                return
            after = page.next_after

    async def check(
        self, definition: Definition, known: Definition | None = None, name: str = ""
    ) -> tuple[Problem, ...]:
        """Return the warnings of a definition that has no error.

        Raises:
            ValidationError: With every error.
        """
        problems = await self.problems(definition, known, name)
        errors = [problem for problem in problems if problem.severity is Severity.ERROR]
        if errors:
            raise ValidationError([_violation(problem) for problem in errors])
        return problems

    async def _existing(self, ref: str) -> Workflow:
        workflow = await self._store.get_workflow(ref)
        if workflow is None or workflow.deleted:
            raise await self._not_found(ref)
        return workflow

    async def _not_found(self, ref: str) -> ResourceNotFoundError:
        """Say that a workflow is not there, and which name may be meant."""
        return await not_found("workflow", ref, WORKFLOW_PREFIX, self._names_after)

    async def _names_after(self, after: str, size: int) -> Iterable[str]:
        page = await self._store.list_workflows(None, Page(size=size, after=after))
        return _named(page)

    async def _alive(self, ref: str) -> bool:
        latest = await self.find(ref)
        return latest is not None and not latest.deleted

    def store_changed(self, _: StoreState) -> None:
        """Read anew: a write to a store that breaks may be there or not."""
        self._forget()

    def _forget(self) -> None:
        self._changes += 1
        self._cache.clear()


def _named(page: Slice[Workflow]) -> Sequence[str]:
    return [*(workflow.name for workflow in page.items), *page.unread]


def _violation(problem: Problem) -> Violation:
    text = f"{problem.message} ({problem.hint})" if problem.hint else problem.message
    return Violation(f"workflow.{problem.path}" if problem.path else "workflow", text, problem.code)


def _check_etag(etag: str, current: Workflow) -> None:
    if etag and etag != current.etag:
        raise ConflictError(
            f"workflow {current.name!r} changed since {etag!r} was read: it is {current.etag!r} now",
            metadata={"etag": etag, "current_etag": current.etag},
        )
