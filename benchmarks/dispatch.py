"""Benchmark ``dispatch``: actions over one stream against actions by unary calls, as the engine makes them.

Both sides are ``ActionCaller`` over a mesh of one instance, with the engine's
tracer and no call sampled; the provider is the same process, hosted by the SDK.
What is compared is processor time, of caller and provider together: it is
steadier than a rate, and what a step costs.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Final

import orjson

from benchmarks.actions import ACTION, SERVICE
from benchmarks.harness import Block, Figure, Operation, Side, closed_loop
from benchmarks.payloads import Documents
from benchmarks.processes import Child, Processes
from benchmarks.spans import weft_provider
from weft.core.context import CallContext
from weft.discovery.model import Endpoint, Protocol
from weft.discovery.static import StaticResolver
from weft.mesh.actions import ActionCall, ActionTransport
from weft.mesh.caller import ActionCaller
from weft.mesh.dispatch.transport import StreamActionTransport
from weft.mesh.grpc_actions import GrpcActionTransport
from weft.mesh.mesh import Mesh, OneResolver
from weft.mesh.tracing.client import RpcTracer

__all__ = ["DispatchBenchmark"]

_LEVELS: Final = (1, 32, 128)
_SIDES: Final = ("unary", "stream")
_CPU: Final = ("caller", "provider", "all")
_UNITS: Final = {"p50": "ms", "p99": "ms", "rate": "1/s", **{f"cpu_{of}": "s/1000" for of in _CPU}}
_TIMEOUT: Final = 30.0
_CONTEXT: Final = CallContext(request_id="req_01m7zq9w6kfxt8", values={"tier": "gold"})

MakeTransport = Callable[[Mesh, RpcTracer], ActionTransport]


def _figures() -> tuple[Figure, ...]:
    ratio = partial(Figure, unit="ratio", side="stream", base="unary")
    return (
        *(
            ratio(
                name=f"dispatch.stream/unary.cpu_all.c{c}",
                concurrency=c,
                metric="cpu_all",
                at_most=0.45 if c > 1 else None,
            )
            for c in _LEVELS
        ),
        *(ratio(name=f"dispatch.stream/unary.rate.c{c}", concurrency=c, metric="rate") for c in _LEVELS),
        ratio(name="dispatch.stream/unary.p50.c1", concurrency=1, metric="p50"),
        *(
            Figure(name=f"dispatch.{side}.{metric}.c{c}", unit=unit, side=side, concurrency=c, metric=metric)
            for side in _SIDES
            for c in _LEVELS
            for metric, unit in _UNITS.items()
        ),
    )


class DispatchBenchmark:
    """An action that adds one, over a stream and by unary calls; every output is checked."""

    name = "dispatch"
    description = (
        "an action of the SDK called over a stream against the same by unary calls: CPU, rate, latency"
    )
    seconds = 2.0
    figures: Sequence[Figure] = _figures()

    @asynccontextmanager
    async def setup(self, processes: Processes) -> AsyncIterator[Sequence[Side]]:
        """Start the provider and connect to it in both ways."""
        provider = processes.start("provider", "benchmarks.actions")
        host, _, port = (await provider.address()).rpartition(":")
        endpoint = Endpoint(host=host, port=int(port), instance_id="actions-1")
        async with AsyncExitStack() as stack:
            unary = await _caller(stack, endpoint, _unary)
            stream = await _caller(stack, endpoint, _stream)
            yield [_side("unary", unary, provider), _side("stream", stream, provider)]


def _unary(mesh: Mesh, tracer: RpcTracer) -> ActionTransport:
    return GrpcActionTransport(pool=mesh.pool, tracer=tracer)


def _stream(mesh: Mesh, tracer: RpcTracer) -> ActionTransport:
    return StreamActionTransport(mesh.pool, tracer=tracer)


async def _caller(stack: AsyncExitStack, endpoint: Endpoint, make: MakeTransport) -> ActionCaller:
    mesh = Mesh(OneResolver(StaticResolver({SERVICE: [endpoint]})))
    stack.push_async_callback(mesh.close)
    caller = ActionCaller(mesh, {Protocol.GRPC: make(mesh, RpcTracer(weft_provider(sampled=False)))})
    stack.push_async_callback(caller.close)
    return caller


def _side(name: str, caller: ActionCaller, provider: Child) -> Side:
    operation = _operation(caller)

    async def block(concurrency: int, seconds: float) -> Block:
        before = time.process_time(), provider.cpu_seconds()
        result = await closed_loop(operation, concurrency, seconds)
        per_1000 = 1_000 / len(result.latencies)
        used = {
            "cpu_caller": (time.process_time() - before[0]) * per_1000,
            "cpu_provider": (provider.cpu_seconds() - before[1]) * per_1000,
        }
        return replace(result, extra={**used, "cpu_all": sum(used.values())})

    return Side(name=name, run=block, concurrencies=_LEVELS)


def _operation(caller: ActionCaller) -> Operation:
    documents = Documents()

    async def operation() -> None:
        document = documents.next()
        number = document["number"]
        call = ActionCall(
            service=SERVICE,
            action=ACTION,
            input=orjson.dumps(document),
            context=_CONTEXT,
            execution_id="exe_01m7zq9w6kfxt8",
            workflow_id="wf_01m7zq9w6kfxt8",
            step_id=ACTION,
            idempotency_key="exe_01m7zq9w6kfxt8/first",
            attempt_token="exe_01m7zq9w6kfxt8/first/1/17",  # noqa: S106 - no secret
        )
        reply = await caller.call(call, _TIMEOUT)
        if orjson.loads(reply.output) != {**document, "number": number + 1}:
            raise AssertionError(f"{reply.output!r} is not what {document} becomes")

    return operation
