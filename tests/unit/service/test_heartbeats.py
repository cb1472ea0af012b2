"""Signs of life of a running action: at once, then thinned out, the newest details first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

import pytest

from weft.core.errors import ValidationError
from weft.service import ActionContext
from weft.service._heartbeats import Heartbeats, heartbeat_interval


class Loop:
    """A loop whose time the test turns."""

    def __init__(self) -> None:
        self.now = 100.0
        self._timers: list[tuple[float, Callable[[], None], asyncio.TimerHandle]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, function: Callable[[], None]) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(self.now + delay, function, (), cast("Any", self))
        self._timers.append((self.now + delay, function, handle))
        return handle

    def call_soon_threadsafe(self, function: Callable[..., None], *arguments: object) -> None:
        function(*arguments)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """As the real one: it is told."""

    def get_debug(self) -> bool:
        return False

    def turn(self, seconds: float) -> None:
        self.now += seconds
        due = [timer for timer in self._timers if timer[0] <= self.now]
        self._timers = [timer for timer in self._timers if timer[0] > self.now]
        for _, function, handle in due:
            if not handle.cancelled():
                function()


def made(interval: float = 3.0) -> tuple[Loop, Heartbeats, list[bytes]]:
    loop, told = Loop(), list[bytes]()
    return loop, Heartbeats(cast("Any", loop), told.append, interval), told


def test_the_first_goes_at_once_and_of_the_others_the_newest() -> None:
    """One in each interval, and the last word is not lost."""
    loop, heartbeats, told = made()
    for number in range(5):
        heartbeats.beat(b"%d" % number)
    assert told == [b"0"]
    loop.turn(2.9)
    heartbeats.beat(b"5")
    assert told == [b"0"]
    loop.turn(0.1)
    assert told == [b"0", b"5"]
    loop.turn(10)
    assert told == [b"0", b"5"]
    heartbeats.beat(b"6")
    assert told == [b"0", b"5", b"6"]


def test_a_beat_without_details_keeps_those_that_wait() -> None:
    """It says that the action is alive, and nothing else."""
    loop, heartbeats, told = made()
    heartbeats.beat(b"1")
    heartbeats.beat(b"2")
    heartbeats.beat(b"")
    loop.turn(3)
    assert told == [b"1", b"2"]


def test_nothing_is_sent_after_the_end() -> None:
    """Neither what waits nor what comes."""
    loop, heartbeats, told = made()
    heartbeats.beat(b"1")
    heartbeats.beat(b"2")
    heartbeats.close()
    heartbeats.beat(b"3")
    loop.turn(10)
    assert told == [b"1"]


def test_three_heartbeats_fit_into_the_time_after_which_one_is_missed() -> None:
    """Without such a time one comes every five seconds."""
    assert heartbeat_interval(timedelta(seconds=30)) == 10
    assert heartbeat_interval(None) == 5


def test_an_action_tells_and_reads_details() -> None:
    """As JSON objects; outside of a host nobody listens."""
    _, heartbeats, told = made()
    context = ActionContext(service="s", action="a", heartbeats=heartbeats)
    context.heartbeat({"done": 3})
    assert told == [b'{"done":3}']
    assert context.heartbeat_details is None
    ActionContext(service="s", action="a").heartbeat()


def test_an_action_reads_what_the_attempt_before_told() -> None:
    """As the object that it was."""
    heartbeats = Heartbeats(cast("Any", Loop()), lambda _: None, 1, b'{"done": 2}')
    assert ActionContext(service="s", action="a", heartbeats=heartbeats).heartbeat_details == {"done": 2}


@pytest.mark.parametrize("details", [{"x": "y" * 70_000}, {"x": object()}])
def test_details_that_cannot_travel_are_refused(details: dict[str, object]) -> None:
    """Where they are told, so that the action can be mended."""
    with pytest.raises(ValidationError):
        ActionContext(service="s", action="a").heartbeat(details)
