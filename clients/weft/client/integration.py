"""One client for everything, in plain dicts: the shape of the service integration API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, Self

from weft.client import _views as views
from weft.client._client import Client, connect
from weft.client._failures import error_from_execution
from weft.client._transport.retries import RetryPolicies
from weft.client._writing import enums
from weft.client._writing.fields import ContextLike, DurationLike
from weft.client.records import Problem
from weft.core.clock import Clock
from weft.core.payload import JsonObject
from weft.mesh.policies.retry import RandomSource

__all__ = ["ServiceIntegrationClient"]

Records = Sequence[Mapping[str, Any]]

_PER_PAGE: Final = 50


class ServiceIntegrationClient:
    """Registers services, and manages and executes workflows of their actions.

    Resources are dicts with ``id``, ``name``, ``status`` and so on; lists are
    dicts with ``items``, ``page``, ``per_page``, ``total``, ``pages`` and
    ``next_page_token``. Ids may also be names. The typed clients beneath it,
    with all they can do besides, are in ``typed``.

    Args:
        base_url: Where the server is; a path is ignored.
        timeout: Seconds, or a duration, for one attempt of a call.
        retry: How often each kind of call is tried.
        clock: Where waits come from.
        chance: Where jitter comes from.
    """

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:7420",
        timeout: DurationLike = 30.0,
        *,
        retry: RetryPolicies | None = None,
        clock: Clock | None = None,
        chance: RandomSource | None = None,
    ) -> None:
        self._client = connect(base_url, timeout=timeout, retry=retry, clock=clock, chance=chance)

    @property
    def typed(self) -> Client:
        """The typed clients on the same connection."""
        return self._client

    async def close(self) -> None:
        """End all calls and the connection."""
        await self._client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def create_workflow(
        self,
        name: str,
        description: str,
        steps: Records,
        metadata: Mapping[str, Any] | None = None,
        *,
        input_schema: Mapping[str, Any] | None = None,
        output_schema: Mapping[str, Any] | None = None,
        timeout: DurationLike | None = None,
        request_id: str = "",
    ) -> JsonObject:
        """Create a workflow of steps ``{id, service, action, next, …}``; the last ``next`` is None.

        Raises:
            ValidationError: Every fault of the definition.
            AlreadyExistsError: The name is taken.
        """
        found = await self._client.workflows.create(
            name,
            steps,
            description=description,
            metadata=metadata,
            input_schema=input_schema,
            output_schema=output_schema,
            timeout=timeout,
            request_id=request_id,
        )
        return views.workflow_view(found)

    async def update_workflow(
        self,
        workflow_id: str,
        name: str | None = None,
        description: str | None = None,
        steps: Records | None = None,
        status: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> JsonObject:
        """Change what is given; ``status`` is ``ACTIVE`` or ``INACTIVE`` and is set last.

        Raises:
            ValidationError: A value is not allowed; every fault of the steps.
            ResourceNotFoundError: There is no such workflow.
        """
        if status is not None:
            enums.WORKFLOW_STATE.number(status, "status")
        client = self._client.workflows
        changes = _given(name=name, description=description, steps=steps, metadata=metadata)
        warnings: tuple[Problem, ...] = ()
        if changes or status is None:
            changed = await client.update(workflow_id, **changes)
            if status is None:
                return views.workflow_view(changed)
            workflow_id, warnings = changed.id, changed.warnings
        found = await client.set_state(workflow_id, status)
        return views.workflow_view(replace(found, warnings=warnings))

    async def delete_workflow(self, workflow_id: str) -> JsonObject:
        """Delete a workflow; running executions go on."""
        await self._client.workflows.delete(workflow_id)
        return {"success": True, "id": workflow_id}

    async def get_workflow(self, workflow_id: str) -> JsonObject:
        """Read a workflow in its latest version."""
        return views.workflow_view(await self._client.workflows.get(workflow_id))

    async def get_workflows(
        self, status: str | None = None, page: int = 1, per_page: int = _PER_PAGE, page_token: str = ""
    ) -> JsonObject:
        """Read one page of workflows, by name."""
        enums.WORKFLOW_STATE.optional(status, "status")
        place = views.PageNumber(page, per_page, page_token)
        found = await place.read(partial(self._client.workflows.list, state=status or ""))
        return place.view(found, views.workflow_view)

    async def execute_workflow(
        self,
        workflow_id: str,
        input_data: Mapping[str, Any],
        context: ContextLike | None = None,
        timeout: DurationLike | None = None,
    ) -> JsonObject:
        """Execute a workflow, wait for its end and return its result.

        Args:
            workflow_id: Which one.
            input_data: JSON object.
            context: ``project_id``, ``request_id`` and further values.
            timeout: How long to wait, in seconds or as a duration; the
                execution goes on after that. None: as long as it takes.

        Raises:
            WeftError: The error that the execution failed with; ``metadata`` has
                its ``execution_id``.
            CallCancelledError: The execution was cancelled.
            DeadlineExceededError: The execution, or the wait, took too long.
        """
        found = await self._client.executions.execute(
            workflow_id,
            input_data,
            context=context,
            wait=timeout,
        )
        if found.state != "COMPLETED":
            raise error_from_execution(found)
        return dict(found.result or {})

    async def get_workflow_execution_status(self, execution_id: str) -> JsonObject:
        """Read where an execution stands, with its steps, result and failure."""
        return views.view(await self._client.executions.get(execution_id))

    async def get_workflow_executions(
        self,
        workflow_id: str,
        status: str | None = None,
        page: int = 1,
        per_page: int = _PER_PAGE,
        page_token: str = "",
    ) -> JsonObject:
        """Read one page of the executions of a workflow, newest first, without payloads."""
        enums.EXECUTION_STATE.optional(status, "status")
        place = views.PageNumber(page, per_page, page_token)
        client = self._client.executions
        found = await place.read(partial(client.list, workflow=workflow_id, state=status or ""))
        if found.total_size_is_minimum:  # lists count up to some thousands only, and pages need all
            asked = f'workflow = "{workflow_id}"' + (f" AND state = {status}" if status else "")
            found = replace(found, total_size=(await client.count(filter=asked)).total)
        return place.view(found, views.view)

    async def register_service(
        self,
        name: str,
        description: str,
        endpoint: str,
        actions: Records,
        metadata: Mapping[str, Any] | None = None,
    ) -> JsonObject:
        """Register a service with actions ``{name, description, input_schema, output_schema}``.

        Raises:
            ValidationError: A name, endpoint, schema or limit.
            AlreadyExistsError: The name is taken.
        """
        found = await self._client.registry.register(
            name, description=description, endpoint=endpoint, actions=actions, metadata=metadata
        )
        return views.view(found)

    async def update_service(
        self,
        service_id: str,
        name: str | None = None,
        description: str | None = None,
        endpoint: str | None = None,
        actions: Records | None = None,
        status: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> JsonObject:
        """Change what is given; ``status`` is ``ACTIVE``, ``INACTIVE`` or ``DEPRECATED`` and is set last.

        Raises:
            ValidationError: A value is not allowed.
            ResourceNotFoundError: There is no such service.
        """
        if status is not None:
            enums.SERVICE_STATE.number(status, "status")
        client = self._client.registry
        changes = _given(
            name=name, description=description, endpoint=endpoint, actions=actions, metadata=metadata
        )
        if changes or status is None:
            changed = await client.update(service_id, **changes)
            if status is None:
                return views.view(changed)
            service_id = changed.id
        return views.view(await client.set_state(service_id, status))

    async def deregister_service(self, service_id: str) -> JsonObject:
        """Remove a service and its instances."""
        await self._client.registry.deregister(service_id)
        return {"success": True, "id": service_id}

    async def get_service(self, service_id: str) -> JsonObject:
        """Read a service with its actions."""
        return views.view(await self._client.registry.get(service_id))

    async def get_services(
        self, status: str | None = None, page: int = 1, per_page: int = _PER_PAGE, page_token: str = ""
    ) -> JsonObject:
        """Read one page of services, by name."""
        enums.SERVICE_STATE.optional(status, "status")
        place = views.PageNumber(page, per_page, page_token)
        found = await place.read(partial(self._client.registry.list, state=status or ""))
        return place.view(found, views.view)

    async def execute_service_action(
        self,
        service_id: str,
        action: str,
        input_data: Mapping[str, Any],
        context: ContextLike | None = None,
    ) -> JsonObject:
        """Call one action and return its output; it is tried once."""
        return await self._client.executions.call(service_id, action, input_data, context=context)

    async def get_integration_health(self) -> JsonObject:
        """Read the health of the whole: ``status`` is ``healthy``, ``degraded`` or ``unhealthy``."""
        return views.integration_health_view(await self._client.registry.integration_health())

    async def get_service_health(self, service_id: str) -> JsonObject:
        """Read the health of a service, with every instance."""
        return views.service_health_view(await self._client.registry.service_health(service_id))


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
