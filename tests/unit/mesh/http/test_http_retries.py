"""When an HTTP call is sent again, after which wait, and where to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from tests.support.clocks import SteppingClock
from tests.support.http_services import World, calling, http_service, nobody, raw_service
from weft.core.errors import ActionFailedError, MaxRetriesExceededError, ServiceUnavailableError
from weft.core.reasons import Reason
from weft.core.testing import ManualClock
from weft.mesh.http import HttpCaller, HttpConfig
from weft.mesh.http.status import retry_after
from weft.mesh.policies.retry import RetryPolicy

KEY = {"Idempotency-Key": "k"}
IDEMPOTENT = [
    ("GET", {}),
    ("HEAD", {}),
    ("OPTIONS", {}),
    ("PUT", {}),
    ("DELETE", {}),
    ("POST", KEY),
    ("PATCH", KEY),
]
OTHERS: list[tuple[str, dict[str, str]]] = [("POST", {}), ("PATCH", {}), ("POST", {"Idempotency-Key": ""})]


class Exact:
    """No jitter."""

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


class Script:
    """Answers with one status after the other; the last one stays."""

    def __init__(self, *answers: int | tuple[int, Mapping[str, str]] | None) -> None:
        self._answers = list(answers)

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if answer is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        status, headers = answer if isinstance(answer, tuple) else (answer, {})
        return web.Response(status=status, headers=headers)


@pytest.fixture
def clock() -> SteppingClock:
    return SteppingClock()


@pytest.fixture
def steps(clock: SteppingClock) -> dict[str, Any]:
    return {"clock": clock, "chance": Exact()}


@pytest.mark.parametrize("failure", [502, 503, 504, None], ids=str)
@pytest.mark.parametrize(("method", "headers"), IDEMPOTENT)
async def test_what_does_no_harm_twice_is_sent_again(
    method: str, headers: dict[str, str], failure: int | None, clock: SteppingClock, steps: dict[str, Any]
) -> None:
    """Up to three times in all, with a growing wait; None: the connection breaks."""
    script = Script(failure, failure, 200)
    async with http_service(handler=script) as service, calling(service.endpoint, **steps) as caller:
        response = await caller.request("texts", method, "/", headers=headers)
    assert (response.status, response.attempts, clock.waits) == (200, 3, [0.1, 0.2])


@pytest.mark.parametrize("failure", [502, 503, 504, (429, {"retry-after": "1"})], ids=str)
@pytest.mark.parametrize(("method", "headers"), OTHERS)
async def test_what_may_do_harm_twice_is_sent_once(
    method: str, headers: dict[str, str], failure: Any, clock: SteppingClock, steps: dict[str, Any]
) -> None:
    """The answer is the answer."""
    async with http_service(handler=Script(failure)) as service, calling(service.endpoint, **steps) as caller:
        response = await caller.request("texts", method, "/", headers=headers)
    assert response.status >= 429
    assert (response.attempts, len(service.paths), clock.waits) == (1, 1, [])


@pytest.mark.parametrize(("method", "headers"), OTHERS)
async def test_a_broken_connection_of_such_a_request_is_an_error(
    method: str, headers: dict[str, str], steps: dict[str, Any]
) -> None:
    """ServiceUnavailableError ACTION_UNAVAILABLE: it may have been processed."""
    async with http_service("one", Script(None)) as service, calling(service.endpoint, **steps) as caller:
        with pytest.raises(ServiceUnavailableError) as caught:
            await caller.request("texts", method, "/", headers=headers)
    assert not isinstance(caught.value, MaxRetriesExceededError)
    assert caught.value.reason == Reason.ACTION_UNAVAILABLE
    assert caught.value.metadata["instance_id"] == "one"
    assert len(service.paths) == 1


async def test_after_three_attempts_it_is_given_up(clock: SteppingClock, steps: dict[str, Any]) -> None:
    """The last answer is the answer; as a call by name it is an error that counts the attempts."""
    async with http_service(handler=Script(503)) as service, calling(service.endpoint, **steps) as caller:
        response = await caller.request("texts", "GET", "/")
        assert (response.status, response.attempts) == (503, 3)
        with pytest.raises(MaxRetriesExceededError, match="gave up after 3 attempts") as caught:
            await caller.call_service("texts", "x", "GET")
    assert (caught.value.attempts, caught.value.reason) == (3, Reason.ACTION_UNAVAILABLE)
    assert len(service.paths) == 6


async def test_a_connection_that_breaks_every_time_is_given_up(steps: dict[str, Any]) -> None:
    """MaxRetriesExceededError with the attempts."""
    async with http_service(handler=Script(None)) as service, calling(service.endpoint, **steps) as caller:
        with pytest.raises(MaxRetriesExceededError) as caught:
            await caller.request("texts", "GET", "/")
    assert (caught.value.attempts, len(service.paths)) == (3, 3)


@pytest.mark.parametrize("status", [200, 301, 400, 408, 429, 500, 501, 505])
async def test_other_answers_are_final(status: int, steps: dict[str, Any]) -> None:
    """Also 429 that does not say how long to wait: to come back at once would not help."""
    async with http_service(handler=Script(status)) as service, calling(service.endpoint, **steps) as caller:
        assert (await caller.request("texts", "GET", "/")).status == status
    assert len(service.paths) == 1


async def test_an_answer_that_breaks_off_is_asked_for_again(steps: dict[str, Any]) -> None:
    """Its beginning is forgotten."""
    bodies = [b"content-length: 9\r\n\r\nabc", b"content-length: 9\r\n\r\nabcdefghi"]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n" + bodies.pop(0))
        await writer.drain()

    async with raw_service(serve) as at, calling(at, **steps) as caller:
        response = await caller.request("texts", "GET", "/")
    assert (response.body, response.attempts) == (b"abcdefghi", 2)


async def test_a_retry_goes_to_another_instance(steps: dict[str, Any]) -> None:
    """Instances that failed within a call come last."""
    async with (
        http_service("bad", Script(503)) as bad,
        http_service("good") as good,
        calling(bad.endpoint, good.endpoint, **steps) as caller,
    ):
        for _ in range(6):
            assert (await caller.request("texts", "GET", "/")).instance_id == "good"
    assert (len(bad.paths), len(good.paths)) == (6, 6)


async def test_one_that_is_killed_while_serving_fails_no_call_that_may_be_repeated(
    steps: dict[str, Any],
) -> None:
    """Its connections break; its port refuses; nobody notices but the spans."""
    async with http_service("good") as good:
        world = World()
        caller = HttpCaller(world.route, **steps)
        async with http_service("killed", Script(200, 200, None)) as killed:
            world.set("texts", killed.endpoint, good.endpoint)
            answers = [await caller.request("texts", "GET", "/") for _ in range(20)]
        answers += [await caller.request("texts", "PUT", "/", b"x") for _ in range(20)]
        await caller.close()
        await world.close()
    assert {response.status for response in answers} == {200}


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_the_wait_that_an_answer_asks_for_is_kept(
    status: int,
    form: str,
    clock: SteppingClock,
    steps: dict[str, Any],
) -> None:
    """In seconds or as a date; when it is longer than our own."""
    value = format_datetime(clock.now() + timedelta(seconds=7), usegmt=True) if form == "date" else "7"
    busy = (status, {"retry-after": value})
    short = (503, {"retry-after": "0"})
    script = Script(busy, short, 200)
    async with http_service(handler=script) as service, calling(service.endpoint, **steps) as caller:
        assert (await caller.request("texts", "GET", "/")).status == 200
    assert clock.waits == [7.0, 0.2]


async def test_no_wait_goes_beyond_the_total_timeout(clock: SteppingClock, steps: dict[str, Any]) -> None:
    """The answer is given at once, with the wait that it asks for."""
    busy = Script((503, {"retry-after": "30"}))
    async with http_service(handler=busy) as service, calling(service.endpoint, **steps) as caller:
        response = await caller.request("texts", "GET", "/", timeout=timedelta(seconds=30))
        assert (response.status, response.retry_after) == (503, timedelta(seconds=30))
        with pytest.raises(ServiceUnavailableError) as caught:
            await caller.call_service("texts", "/", "GET")
    assert (caught.value.retry_after, clock.waits) == (timedelta(seconds=30), [])


async def test_retries_have_a_budget(clock: SteppingClock, steps: dict[str, Any]) -> None:
    """A fifth of the calls and a floor of ten a second: an outage is not multiplied."""
    async with http_service(handler=Script(503)) as service, calling(service.endpoint, **steps) as caller:
        for _ in range(150):
            await caller.request("texts", "GET", "/")
            clock._clock._elapsed = 1.0  # all of it within one window
    assert 150 + 100 <= len(service.paths) <= 150 + 100 + 0.2 * 150


async def test_retries_can_be_turned_off(steps: dict[str, Any]) -> None:
    """Then the failure itself is raised."""
    config = HttpConfig(retry=RetryPolicy(max_retries=0))
    async with (
        http_service(handler=Script(None)) as service,
        calling(service.endpoint, config=config, **steps) as caller,
    ):
        with pytest.raises(ServiceUnavailableError) as caught:
            await caller.request("texts", "GET", "/")
    assert not isinstance(caught.value, MaxRetriesExceededError)


async def test_a_body_in_pieces_is_sent_once(steps: dict[str, Any]) -> None:
    """It is gone after that, whatever the method."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"x"

    async with (
        http_service(handler=Script(503, 200)) as service,
        calling(service.endpoint, **steps) as caller,
    ):
        assert (await caller.request("texts", "PUT", "/", pieces())).status == 503
    assert len(service.paths) == 1


async def test_instances_that_vanish_between_attempts_are_told(steps: dict[str, Any]) -> None:
    """NO_INSTANCE with what was seen: the first broke, and then nobody could be connected."""
    world = World()
    config = HttpConfig(instance_wait=timedelta())
    caller = HttpCaller(world.route, config=config, **steps)

    async def vanish(request: web.Request) -> web.StreamResponse:
        world.set("texts", nobody("x"))
        await asyncio.sleep(0.01)
        return web.Response(status=503)

    async with http_service(handler=vanish) as service:
        world.set("texts", service.endpoint)
        world.route("texts")
        await asyncio.sleep(0.01)
        with pytest.raises(ServiceUnavailableError, match=r"127\.0\.0\.1:1: .*refused"):
            await caller.request("texts", "GET", "/")
    await caller.close()
    await world.close()


async def test_a_failure_of_the_service_itself_is_raised_as_such(steps: dict[str, Any]) -> None:
    """500 is its answer, not an outage."""
    async with http_service(handler=Script(500)) as service, calling(service.endpoint, **steps) as caller:
        with pytest.raises(ActionFailedError):
            await caller.call_service("texts", "x", "GET")
    assert len(service.paths) == 1


NOW = ManualClock().now()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0),
        (" 12 ", 12),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("soon", None),
        ("9" * 5_000, 86_400),
        ("Thu, 01 Jan 2026 00:00:10 GMT", 10),
        ("Thursday, 01-Jan-26 00:00:10 GMT", 10),
        ("Thu Jan  1 00:00:10 2026", 10),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 0),
        ("Thu, 01 Jan 2099 00:00:00 GMT", 86_400),
        ("Thu, 99 Jan 2026 00:00:10 GMT", None),
        ("Thu, 01 Jan 99999999999 00:00:10 GMT", None),
    ],
)
def test_how_a_wait_is_read(value: str | None, seconds: int | None) -> None:
    """Seconds, or any of the three forms of a date of HTTP; a day at most; what is unclear says nothing."""
    assert retry_after(value, NOW) == (None if seconds is None else timedelta(seconds=seconds))


@given(st.text() | st.integers().map(str) | st.datetimes().map(str))
def test_no_header_makes_the_reader_fail(value: str) -> None:
    """Whatever a peer sends is a wait between zero and a day, or nothing."""
    wait = retry_after(value, NOW)
    assert wait is None or timedelta() <= wait <= timedelta(days=1)
