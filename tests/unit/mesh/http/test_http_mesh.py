"""HTTP by name over a whole mesh: its sources, its routes, and its traces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.support.http_services import http_service
from weft.core.errors import PreconditionError, ValidationError
from weft.core.reasons import Reason
from weft.discovery.resolvers import Resolvers, SourcesConfig
from weft.discovery.static import StaticResolver
from weft.mesh.http import HttpCaller, http_routes
from weft.mesh.mesh import Mesh, OneResolver
from weft.mesh.tracing.http import HttpTracer


@pytest.fixture
async def resolver() -> StaticResolver:
    return StaticResolver()


@pytest.fixture
async def mesh(resolver: StaticResolver) -> AsyncIterator[Mesh]:
    made = Mesh(OneResolver(resolver))
    yield made
    await made.close()


@pytest.fixture
async def caller(mesh: Mesh) -> AsyncIterator[HttpCaller]:
    made = HttpCaller(http_routes(mesh))
    yield made
    await made.close()


async def test_the_version_that_is_asked_for_answers(resolver: StaticResolver, caller: HttpCaller) -> None:
    """Two versions side by side; one that there is not is an error that lists those that there are."""
    async with http_service("old") as old, http_service("new") as new:
        resolver.set(
            "texts", [replace(old.endpoint, version="1.4.2"), replace(new.endpoint, version="2.0.0")]
        )
        for _ in range(4):
            assert await caller.call_service("weft://texts?version=^1.2", "x") == {"by": "old"}
            assert await caller.call_service("weft://texts?version=^2", "x") == {"by": "new"}
        async with asyncio.timeout(1):
            with pytest.raises(PreconditionError) as caught:
                await caller.request("weft://texts?version=^3", "GET", "/")
    assert caught.value.reason == Reason.VERSION_NOT_AVAILABLE
    assert caught.value.metadata["available"] == "2.0.0, 1.4.2"


async def test_a_target_that_is_wrong_is_told_with_all_other_faults(caller: HttpCaller) -> None:
    """One answer for the service, the method and the path."""
    with pytest.raises(ValidationError) as caught:
        await caller.request("weft://texts?colour=red", "FETCH", "x")
    assert {violation.field for violation in caught.value.violations} == {"target", "method", "path"}


async def test_addresses_alone_are_called_as_well() -> None:
    """A list of addresses does not say what is spoken there; a URL in the environment does."""
    async with http_service("a", path="/v1") as service:
        address = service.endpoint.address
        environ = {"SERVICE_TEXTS_URL": f"http://{address}/v1"}
        mesh = Mesh(Resolvers(SourcesConfig(environ=environ)))
        caller = HttpCaller(http_routes(mesh))
        for target in ("texts", "env://texts", address, f"static:///{address}", f"dns:///{address}"):
            assert await caller.call_service(target, "x") == {"by": "a"}
        await caller.close()
        await mesh.close()
    assert service.paths == ["/v1/x", "/v1/x", "/x", "/x", "/x"]


async def test_each_attempt_is_a_span_of_the_callers_trace(resolver: StaticResolver, mesh: Mesh) -> None:
    """It names service, instance, attempt and balancer; the peer gets its context."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    caller = HttpCaller(http_routes(mesh), tracer=HttpTracer(provider))
    async with http_service("one") as service:
        resolver.set("texts", [service.endpoint])
        with provider.get_tracer("test").start_as_current_span("work") as work:
            await caller.request("texts", "GET", "/x?token=secret")
    await caller.close()
    span = exporter.get_finished_spans()[0]
    attributes = dict(span.attributes or {})
    assert span.context is not None
    assert span.context.trace_id == work.get_span_context().trace_id
    assert service.headers[0]["traceparent"].split("-")[1:3] == [
        f"{span.context.trace_id:032x}",
        f"{span.context.span_id:016x}",
    ]
    assert {"texts", "one", "round_robin", 1, 200} <= set(attributes.values())
    assert "secret" not in str(attributes)
