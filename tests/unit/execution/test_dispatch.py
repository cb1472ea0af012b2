"""A single call: how long it may take, what is made of its output, and which schemas are kept."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from tests.unit.execution.world import SERVICE, eventually, new_world
from weft.core.errors import ExhaustedError
from weft.core.payload import JsonObject
from weft.core.reasons import Reason
from weft.core.schema import Schema
from weft.core.testing import ManualClock
from weft.server.execution.engine.dispatch import CallIdentity, Dispatcher
from weft.server.execution.engine.schemas import SchemaCache
from weft.server.registry.model import Action, Service


def nothing(_: Schema) -> JsonObject:
    return {}


@pytest.mark.parametrize(
    ("timeout", "at_most", "expected"),
    [(None, None, 60), (None, 2, 2), (5, 2, 2), (1, 2, 1), (None, 90, 60)],
)
async def test_a_call_takes_no_longer_than_its_caller_waits(
    timeout: int | None, at_most: int | None, expected: int
) -> None:
    """The shortest of the bounds reaches the provider."""
    async with new_world() as world:
        await world.register(Action(name="a"))
        dispatcher = Dispatcher(world.registry, world.caller)
        wait = None if at_most is None else timedelta(seconds=at_most)
        limit = None if timeout is None else timedelta(seconds=timeout)
        await dispatcher.call(SERVICE, "a", nothing, CallIdentity(), limit, at_most=wait)
        (given,) = world.provider.timeouts
        assert expected - 1 < given <= expected


@pytest.mark.parametrize(
    ("said", "recorded"),
    [
        (b'{"n":123456789012345678901}', b'{"n":1.2345678901234568e+20}'),
        (b'{"a": 1, "a": 2}', b'{"a":2}'),
        (b'{ "x" : "\\u0041" }', b'{"x":"A"}'),
    ],
)
async def test_an_output_is_recorded_as_it_is_handed_on(said: bytes, recorded: bytes) -> None:
    """What JSON leaves open is settled once: the history shows what the next step gets."""
    async with new_world(hold=["a"]) as world:
        await world.chain("a", "b")
        execution = await world.start()
        (await world.held("a")).future.set_result(said)
        details = await world.ended(execution.id)
        assert details.execution.failure is None
        outputs = [getattr(event.body, "output", None) for event in await world.events(execution.id)]
        assert recorded in outputs
        assert world.provider.calls[1].input == recorded


async def test_an_output_that_grows_over_the_limit_is_refused() -> None:
    """The limit holds for the text that is recorded, not only for the one that came."""
    async with new_world(hold=["a"]) as world:
        await world.register(Action(name="a"))
        dispatcher = Dispatcher(world.registry, world.caller)
        calling = asyncio.create_task(dispatcher.call(SERVICE, "a", nothing, CallIdentity()))
        await eventually(lambda: bool(world.provider.held))
        world.provider.held[0].future.set_result(b'{"n":[' + b",".join([b"1e9"] * 200_000) + b"]}")
        with pytest.raises(ExhaustedError) as caught:
            await calling
        assert caught.value.reason == Reason.ACTION_OUTPUT_TOO_LARGE


# ---- the schemas that are kept


def service_of(name: str, revision: int = 1, *, actions: int = 1, size: int = 1_000) -> Service:
    now = ManualClock().now()
    schema = {"type": "object", "description": "x" * size}
    return Service(
        id=name,
        name=name,
        revision=revision,
        actions=tuple(Action(name=f"a{number}", input_schema=schema) for number in range(actions)),
        create_time=now,
        update_time=now,
    )


def test_schemas_are_compiled_once() -> None:
    """The same revision is not compiled again."""
    cache = SchemaCache()
    assert cache.of(service_of("s"), "a0") is cache.of(service_of("s"), "a0")


def test_only_one_revision_of_a_service_is_kept() -> None:
    """A service that changes a thousand times holds no more than one that never did."""
    cache = SchemaCache()
    cache.of(service_of("s", 1), "a0")
    size = cache.size
    for revision in range(2, 1_000):
        assert cache.of(service_of("s", revision), "a0").action.name == "a0"
        assert cache.size == size


def test_what_is_kept_is_bounded_by_the_text_behind_it() -> None:
    """The service called longest ago goes first; one that is too large alone keeps what was called last."""
    cache = SchemaCache(max_bytes=10_000)
    kept = cache.of(service_of("kept"), "a0")
    for number in range(50):
        cache.of(service_of(f"s{number}"), "a0")
        assert cache.of(service_of("kept"), "a0") is kept
        assert cache.size <= 10_000
    large = service_of("large", actions=100)
    for action in large.actions:
        assert cache.of(large, action.name) is cache.of(large, action.name)
        assert cache.size <= 10_000
