"""Benchmark ``rpc``: a unary call through Weft's client, server and interceptors against a raw echo."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

import grpc.aio

from benchmarks.echo import Echo, echo_method
from benchmarks.harness import Block, Figure, Operation, Side, closed_loop
from benchmarks.payloads import PAYLOAD
from benchmarks.processes import Processes
from benchmarks.retries import RetryCount
from weft.api.common.v1.payload_pb2 import Payload
from weft.client import CallContext, Client, RetryPolicies, connect
from weft.client._transport.calls import CallConfig, Caller
from weft.core.clock import SystemClock

__all__ = ["RpcBenchmark"]

_LEVELS = (1, 32, 128)
_SIDES = ("raw", "control", "weft", "heartbeat")
"""``control`` is a second raw server: its ratio to the first is what no difference looks like."""
_UNITS = {"p50": "ms", "p99": "ms", "rate": "1/s"}
_TTL = timedelta(minutes=10)


def _figures() -> tuple[Figure, ...]:
    ratio = partial(Figure, unit="ratio", side="weft", base="raw")
    control = [
        Figure(
            name=f"rpc.control/raw.{metric}.c{c}",
            unit="ratio",
            side="control",
            base="raw",
            concurrency=c,
            metric=metric,
        )
        for c, metric in ((1, "p50"), (32, "rate"), (128, "rate"))
    ]
    absolute = [
        Figure(name=f"rpc.{side}.{metric}.c{c}", unit=unit, side=side, concurrency=c, metric=metric)
        for side in _SIDES
        for c in _LEVELS
        for metric, unit in _UNITS.items()
    ]
    retries = [
        Figure(
            name=f"rpc.{side}.retries.c{c}", unit="1/1000", side=side, concurrency=c, metric=RetryCount.METRIC
        )
        for side in _SIDES[2:]
        for c in _LEVELS
    ]
    return (
        ratio(name="rpc.weft/raw.p50.c1", concurrency=1, metric="p50", at_most=1.20),
        ratio(name="rpc.weft/raw.rate.c32", concurrency=32, metric="rate", at_least=0.85),
        ratio(name="rpc.weft/raw.rate.c128", concurrency=128, metric="rate"),
        *control,
        *absolute,
        *retries,
    )


class RpcBenchmark:
    """Raw echo, the same echo through all of Weft's layers, and a real RPC of a real server."""

    name = "rpc"
    description = "a unary call through client, server and interceptors against a raw grpc.aio echo"
    seconds = 1.0
    figures: Sequence[Figure] = _figures()

    @asynccontextmanager
    async def setup(self, processes: Processes) -> AsyncIterator[Sequence[Side]]:
        """Start the four servers and connect to each."""
        raw = processes.start("echo-raw", "benchmarks.echo", "raw")
        twin = processes.start("echo-control", "benchmarks.echo", "raw")
        weft = processes.start("echo-weft", "benchmarks.echo", "weft")
        server = processes.start_server()
        retries = RetryCount()
        config = CallConfig(
            timeout=timedelta(seconds=30), retry=RetryPolicies(), clock=SystemClock(), chance=retries
        )
        caller = Caller(await weft.address(), config)
        async with (
            grpc.aio.insecure_channel(await raw.address()) as channel,
            grpc.aio.insecure_channel(await twin.address()) as control,
            connect(await server.address(), chance=retries) as client,
        ):
            operations = (
                _raw(echo_method(channel)),
                _raw(echo_method(control)),
                _weft(caller, echo_method(caller.channel)),
                await _heartbeat(client),
            )
            try:
                yield [_side(name, each, retries) for name, each in zip(_SIDES, operations, strict=True)]
            finally:
                await caller.close()


def _side(name: str, operation: Operation, retries: RetryCount) -> Side:
    async def block(concurrency: int, seconds: float) -> Block:
        return retries.added_to(await closed_loop(operation, concurrency, seconds))

    return Side(name=name, run=block, concurrencies=_LEVELS)


def _raw(method: Echo) -> Operation:
    async def call() -> None:
        _check(await method(Payload(json=PAYLOAD)))

    return call


def _weft(caller: Caller, method: Echo) -> Operation:
    """Call with all that a call of a typed client has: deadline, metadata, errors, retries."""
    context = CallContext(request_id="benchmark")
    policy = caller.retry.read

    async def call() -> None:
        _check(await caller.unary(method, Payload(json=PAYLOAD), policy, context=context))

    return call


async def _heartbeat(client: Client) -> Operation:
    await client.registry.register("benchmark")
    instance = await client.registry.register_instance(
        "benchmark", host="127.0.0.1", port=1, instance_id="benchmark-1", ttl=_TTL
    )

    async def call() -> None:
        if await client.registry.heartbeat(instance.id) <= datetime.now(UTC):
            raise AssertionError("the heartbeat was not taken")

    return call


def _check(answer: Payload) -> None:
    if answer.json != PAYLOAD:
        raise AssertionError(f"not the echo of {PAYLOAD!r}: {answer.json!r}")
