"""Engine and provider on one wire, under every interleaving that hypothesis thinks of."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.action_wire import Wire
from weft.api.action.v1 import action_service_pb2 as pb
from weft.core.errors import ActionFailedError, ServiceUnavailableError
from weft.mesh.actions import ActionCall, UnreachableError
from weft.mesh.dispatch.limits import Window
from weft.service import Service

WINDOW = Window(invocations=3, input_bytes=10_000)
UNAVAILABLE, CANCELLED = 14, 1

Step = tuple[str, int]
STEPS = st.lists(
    st.tuples(st.sampled_from(["invoke"] * 6 + ["cancel", "release", "fail"] * 3), st.integers(0, 11))
    | st.tuples(st.just("turn"), st.integers(1, 12))
    | st.tuples(st.sampled_from(["drain", "cut"]), st.just(0)),
    max_size=40,
)


@dataclass
class World:
    """What was done, and what the actions saw of it."""

    began: list[int] = field(default_factory=list)
    cancelled: set[int] = field(default_factory=set)
    running: set[int] = field(default_factory=set)
    given_up: set[int] = field(default_factory=set)
    ends: dict[int, asyncio.Event] = field(default_factory=dict)
    failing: set[int] = field(default_factory=set)
    calls: dict[int, asyncio.Task[pb.ActionResult]] = field(default_factory=dict)
    cut: bool = False
    drained: bool = False

    def service(self) -> Service:
        service = Service("world")

        @service.action
        async def work(number: int) -> dict[str, int]:
            self.began.append(number)
            self.running.add(number)
            try:
                await self.ends[number].wait()
            except asyncio.CancelledError:
                self.cancelled.add(number)
                raise
            finally:
                self.running.discard(number)
            if number in self.failing:
                raise ActionFailedError("asked to", reason="ASKED")
            return {"number": number}

        return service


async def play(steps: list[Step]) -> None:
    world = World()
    wire = Wire(world.service(), WINDOW)
    assert await wire.stream.opened
    for what, number in steps:
        await step(world, wire, what, number)
    async with asyncio.timeout(5):
        await settled(lambda: not world.running & world.given_up)
        for end in world.ends.values():
            end.set()
        await asyncio.gather(*world.calls.values(), return_exceptions=True)
        if world.cut or world.drained:
            await wire.ended.wait()
        else:
            await settled(lambda: not wire.stream._ledger.open)
        await settled(lambda: not world.running)
    check(world, wire)
    await wire.close()


async def settled(holds: Any) -> None:
    while not holds():  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0)


async def step(world: World, wire: Wire, what: str, number: int) -> None:
    if what == "turn":
        for _ in range(number):
            await asyncio.sleep(0)
    elif what == "invoke" and wire.stream.usable:
        invoke(world, wire, len(world.calls))
    elif what == "cancel" and number in world.calls:
        if not world.calls[number].done():
            world.given_up.add(number)
            world.calls[number].cancel()
    elif what in {"release", "fail"} and number in world.ends:
        if what == "fail" and not world.ends[number].is_set():
            world.failing.add(number)
        world.ends[number].set()
    elif what == "drain":
        world.drained = True
        wire.drain()
    elif what == "cut":
        world.cut = True
        await wire.cut()


def invoke(world: World, wire: Wire, number: int) -> None:
    world.ends[number] = asyncio.Event()
    call = ActionCall(service="world", action="work", input=b'{"number":%d}' % number)
    deadline = asyncio.get_running_loop().time() + 60
    world.calls[number] = asyncio.create_task(wire.stream.run(call, (), deadline, 60.0))


def check(world: World, wire: Wire) -> None:
    assert len(world.began) == len(set(world.began)), "no action is run twice"
    assert wire.largest_batch <= WINDOW.invocations
    for number, call in world.calls.items():
        if call.cancelled():
            assert number in world.given_up
        elif (error := call.exception()) is not None:
            check_error(world, number, error)
        else:
            check_result(world, number, call.result())
    assert not world.running, "nothing runs on for nobody"


def check_error(world: World, number: int, error: BaseException) -> None:
    if isinstance(error, UnreachableError):
        assert number not in world.began, "what may go elsewhere has not run"
        assert world.cut or world.drained
    else:
        assert isinstance(error, ServiceUnavailableError)
        assert world.cut


def check_result(world: World, number: int, result: pb.ActionResult) -> None:
    if result.code == 0:
        assert result.output == b'{"number":%d}' % number
        assert number not in world.failing
    elif result.code == UNAVAILABLE:
        assert world.drained
        assert number not in world.began, "what was refused has not run"
    else:
        assert number in world.failing
        assert result.message == "asked to"


@settings(max_examples=300, deadline=None)
@given(steps=STEPS)
def test_every_call_has_one_end_that_is_true(steps: list[Step]) -> None:
    """Answered, failed, given up, lost, or never sent: and of what may be repeated nothing has run."""
    asyncio.run(play(steps))


def test_all_of_it_happens() -> None:
    """The same without chance: one of each, in one run."""
    turn = ("turn", 12)
    steps = [("invoke", 0)] * 5 + [turn, ("cancel", 0), ("fail", 1), turn, ("release", 2), turn, turn]
    asyncio.run(play([*steps, ("drain", 0), turn, turn]))
    asyncio.run(play([*steps, ("cut", 0), turn]))
