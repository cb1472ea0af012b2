"""A Consul that answers what Consul does not."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web

from tests.support.impostor import Handler, impostor, listed
from tests.support.watching import eventually, following
from tests.support.world import serving
from weft.core.errors import ServiceUnavailableError, UnexpectedStatusError, WeftError
from weft.discovery.consul import ConsulClient, ConsulConfig, ConsulRegistrar, ConsulResolver, Registration
from weft.discovery.model import Endpoint
from weft.discovery.watch import Watch

pytestmark = pytest.mark.integration


async def _answer(_: web.Request, **response: Any) -> web.StreamResponse:
    return web.Response(**response)


async def _slow(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(2)
    return listed([], "1")


async def _trickle(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"X-Consul-Index": "1"})
    await response.prepare(request)
    for _ in range(40):
        await response.write(b"[")
        await asyncio.sleep(0.05)
    return response


async def _hang_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


def _says(**response: Any) -> Handler:
    return lambda request: _answer(request, **response)


_INDEXED = {"X-Consul-Index": "5"}

FAULTS: dict[str, tuple[Handler, str]] = {
    "500": (_says(status=500, text="No cluster leader"), "answered 500 No cluster leader"),
    "503": (_says(status=503, text="<html>busy</html>"), "answered 503"),
    "429": (_says(status=429, text="too many connections"), "takes no more connections or requests of ours"),
    "302": (_says(status=302, headers={"Location": "http://127.0.0.1:1/"}), "it answered 302"),
    "html": (_says(text="<html>" + "x" * 5000, headers=_INDEXED), "does not answer as Consul does"),
    "cut": (_says(text='[{"Node":', headers=_INDEXED), "does not answer as Consul does"),
    "bytes": (_says(body=b"\xff\xfe\x00", headers=_INDEXED), "does not answer as Consul does"),
    "deep": (_says(text="[" * 60_000, headers=_INDEXED), "does not answer as Consul does"),
    "object": (_says(text="{}", headers=_INDEXED), "the list of instances is no list"),
    "null": (_says(text="null", headers=_INDEXED), "the list of instances is no list"),
    "empty": (_says(text="", headers=_INDEXED), "does not answer as Consul does"),
    "large": (_says(text="[" + " " * 200_000 + "]", headers=_INDEXED), "larger than 100,000 bytes"),
    "no index": (_says(text="[]"), "its index is missing"),
    "index 0": (_says(text="[]", headers={"X-Consul-Index": "0"}), "its index is 0"),
    "index -1": (_says(text="[]", headers={"X-Consul-Index": "-1"}), "its index is -1"),
    "huge index": (_says(text="[]", headers={"X-Consul-Index": "9" * 20}), "its index is 9999"),
    "endless index": (_says(text="[]", headers={"X-Consul-Index": "9" * 5000}), "its index is 9999"),
    "word": (_says(text="[]", headers={"X-Consul-Index": "new"}), "its index is new"),
    "no leader": (_says(text="[]", headers={**_INDEXED, "X-Consul-KnownLeader": "false"}), "has no leader"),
    "slow": (_slow, "did not answer in time"),
    "trickle": (_trickle, "did not answer in time"),
    "hang up": (_hang_up, "cannot be reached"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_is_named_and_loses_nothing(fault: str) -> None:
    """The known list stays, stale, with a short problem that says what happened; then all is well again."""
    answer, problem = FAULTS[fault]
    async with (
        impostor() as (server, config),
        ConsulClient(config) as client,
        following(ConsulResolver(client), "web") as seen,
    ):
        await seen.keys("web-7001")
        server.answer = answer
        server.say(11, 7001)
        await seen.until(lambda s: s.stale)
        assert problem in seen.newest.problem
        assert len(seen.newest.problem) < 400
        assert [e.key for e in seen.newest.endpoints] == ["web-7001"]
        server.answer = server.good
        await seen.until(lambda s: not s.stale)
        assert all(snapshot.endpoints for snapshot in seen.seen)


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_registrar_survives_every_fault(fault: str) -> None:
    """It names the problem or goes on, never ends, and still closes within its time."""
    answer, _ = FAULTS[fault]
    there = Endpoint(host="127.0.0.1", port=7001, instance_id="web-1")
    async with impostor() as (server, config), ConsulClient(config) as client:
        server.answer = answer
        registrar = ConsulRegistrar(client, Registration(service="web", endpoint=there))
        registrar.start()
        await eventually(lambda: registrar.registered or registrar.problem != "")
        task = registrar._task
        assert task is not None
        assert not task.done()
        started = asyncio.get_running_loop().time()
        await registrar.close(timedelta(seconds=0.5))
        assert asyncio.get_running_loop().time() - started < 1.0
        assert task.done()


async def test_an_index_that_goes_back_starts_anew_and_removes_nothing() -> None:
    """A Consul that counts from the beginning lost its data: it removed nothing, and is read from index 0."""
    async with impostor() as (server, config), ConsulClient(config) as client:
        server.say(10, 7001, 7002)
        async with following(ConsulResolver(client), "web") as seen:
            await seen.keys("web-7001", "web-7002")
            await eventually(lambda: bool(server.waits))
            server.say(3, 7001)
            await seen.until(lambda s: s.stale)
            assert {e.key for e in seen.newest.endpoints} == {"web-7001", "web-7002"}
            after = len(server.requests)
            await eventually(lambda: len(server.requests) > after)
            assert (
                "index" not in server.requests[after - 1].query or "index" not in server.requests[after].query
            )
            server.say(4, 7001, 7002)
            await seen.until(lambda s: not s.stale)


async def test_each_query_goes_on_from_its_own_index() -> None:
    """A blocking query has the index of the answer before it, and says how long it may wait."""
    async with (
        impostor() as (server, config),
        ConsulClient(config) as client,
        following(ConsulResolver(client), "web") as seen,
    ):
        await seen.keys("web-7001")
        await eventually(lambda: bool(server.waits))
        server.say(17, 7001, 7002)
        await seen.keys("web-7001", "web-7002")
        await eventually(lambda: len(server.waits) == 2)
    assert [request.query["index"] for request in server.waits] == ["10", "17"]
    assert {request.query["wait"] for request in server.waits} == {"1000ms"}


@pytest.mark.parametrize("steps", [0, 1])
async def test_an_agent_that_does_not_wait_is_not_asked_in_a_loop(steps: int) -> None:
    """Answers that come at once and bring nothing new are asked for ever more slowly."""
    async with impostor() as (server, config), ConsulClient(config) as client:

        async def hurried(_: web.Request) -> web.StreamResponse:
            server.index += steps
            return listed([7001], str(server.index))

        server.answer = hurried
        async with following(ConsulResolver(client), "web") as seen:
            await seen.keys("web-7001")
            await asyncio.sleep(0.7)
            assert 3 <= len(server.requests) <= 12
            assert len(seen.seen) == 1


async def test_a_list_that_changes_without_end_is_not_read_in_a_loop() -> None:
    """Changes that come one upon the other are read together: one that comes alone is seen at once."""
    async with impostor() as (server, config), ConsulClient(config) as client:
        asked = 0

        async def other_each_time(_: web.Request) -> web.StreamResponse:
            nonlocal asked
            asked += 1
            return listed([7_000 + asked % 2], str(100 + asked))

        server.answer = other_each_time
        async with following(ConsulResolver(client), "web"):
            await asyncio.sleep(1)
        assert 5 < asked < 40


async def test_what_consul_refuses_is_no_outage() -> None:
    """A 400 is a fault of the request: its text is told, and trying again is not promised to help."""
    async with impostor() as (server, config), ConsulClient(config) as client:
        server.answer = _says(status=400, text="Invalid service address")
        with pytest.raises(UnexpectedStatusError, match="refused to register: 400 Invalid service address"):
            await client.register({"Name": "web"})


async def test_an_empty_list_by_rights_is_no_empty_list() -> None:
    """A list that is empty as the token may not read it is a fault, where Consul says so."""
    async with impostor() as (server, config), ConsulClient(config) as client:
        server.answer = _says(
            text="[]", headers={"X-Consul-Index": "7", "X-Consul-Results-Filtered-By-ACLs": "true"}
        )
        with pytest.raises(WeftError, match="may not read the instances"):
            await client.look_up("web")


async def test_more_watches_than_connections_share_them() -> None:
    """Twelve watches over four places: each sees a change within the rotation, and long waits are cut."""
    async with impostor() as (server, config):
        open_now, most = 0, 0

        async def counted(request: web.Request) -> web.StreamResponse:
            nonlocal open_now, most
            open_now += 1
            most = max(most, open_now)
            try:
                return await server.good(request)
            finally:
                open_now -= 1

        server.answer = counted
        shared = ConsulConfig(
            address=config.address,
            connections=20,
            rotation=timedelta(seconds=2),
            wait=timedelta(seconds=60),
            request_timeout=timedelta(seconds=2),
        )
        async with ConsulClient(shared) as client:
            resolver = ConsulResolver(client)
            watches = [following(resolver, f"web-{number}") for number in range(12)]
            seen = [await watch.__aenter__() for watch in watches]
            for one in seen:
                await one.keys("web-7001")
            server.say(11, 7001, 7002)
            for one in seen:
                await one.keys("web-7001", "web-7002", within=6.0)
            for watch in watches:
                await watch.__aexit__(None, None, None)
        assert most <= 4 + 8


async def test_a_consul_that_refuses_hundreds_of_watches_is_spared() -> None:
    """They share one pace; when the token is right again, all lists are there in a moment."""
    async with impostor() as (server, config), ConsulClient(config) as client:
        server.answer = _says(status=403, text="Permission denied")
        watches = [Watch(ConsulResolver(client), f"web-{number}") for number in range(300)]
        await asyncio.sleep(4)  # the first round, and what may come at once
        before = len(server.requests)
        await asyncio.sleep(3)
        assert len(server.requests) - before <= 80
        server.answer = server.good
        await eventually(lambda: all(watch.snapshot.endpoints for watch in watches), within=10.0)
        await asyncio.gather(*(watch.close() for watch in watches))


async def test_the_body_of_a_registration_is_json() -> None:
    """What is sent is what Consul reads: one object, with the token in a header and not in the address."""
    async with impostor() as (server, config):
        secret = ConsulConfig(address=config.address, token="s3cret")
        bodies: list[Any] = []

        async def reading(request: web.Request) -> web.StreamResponse:
            bodies.append(json.loads(await request.text()))
            return web.Response()

        server.answer = reading
        async with ConsulClient(secret) as client:
            await client.register({"Name": "web", "Port": 0})
        assert bodies == [{"Name": "web", "Port": 0}]
        assert server.requests[0].headers["X-Consul-Token"] == "s3cret"
        assert "s3cret" not in str(server.requests[0].url)
        assert "s3cret" not in repr(secret)


async def test_nobody_at_the_address() -> None:
    """A refused connection is unavailable, with the address in the message."""
    async with ConsulClient(ConsulConfig(address="127.0.0.1:1")) as client:
        with pytest.raises(ServiceUnavailableError, match=r"127\.0\.0\.1:1 cannot be reached"):
            await client.look_up("web")


async def test_a_cancellation_counts_also_in_the_moment_when_time_is_up() -> None:
    """Who was cancelled ends: nothing waits for him who took it for the end of his time, and asks again."""
    loop = asyncio.get_running_loop()
    async with impostor() as (server, config), ConsulClient(config) as client:

        async def silent(_: web.Request) -> web.StreamResponse:
            await asyncio.sleep(5)
            return web.Response()

        server.answer = silent
        asking = asyncio.create_task(client.look_up("web"))
        await eventually(lambda: bool(server.requests))
        loop.call_later(config.request_timeout.total_seconds(), asking.cancel)
        time.sleep(config.request_timeout.total_seconds() + 0.1)  # noqa: ASYNC251 - a busy loop: both are due at once
        with pytest.raises(asyncio.CancelledError):
            await asking


async def test_the_first_list_has_every_datacenter() -> None:
    """One that answers first, with nobody who can be called, is not all that there is."""
    async with impostor() as (server, config), ConsulClient(config) as client:

        async def by_place(request: web.Request) -> web.StreamResponse:
            if request.query["dc"] == "west":
                await asyncio.sleep(0.2)
            return await server.good(request)

        server.answer = by_place
        server.say(11, 7001)
        async with following(ConsulResolver(client, datacenters=("east", "west")), "web") as seen:
            await seen.until(lambda s: s.version > 0)
            assert len(seen.seen[0].endpoints) == 2
            assert not seen.seen[0].stale


async def test_a_datacenter_that_is_silent_holds_up_the_first_list_for_a_second_at_most() -> None:
    """Then the list is what the others say, and stale."""
    async with (
        impostor() as (server, config),
        ConsulClient(replace(config, request_timeout=timedelta(seconds=5))) as client,
    ):

        async def by_place(request: web.Request) -> web.StreamResponse:
            if request.query["dc"] == "west":
                await asyncio.sleep(3)
            return await server.good(request)

        server.answer = by_place
        server.say(11, 7001)
        async with following(ConsulResolver(client, datacenters=("east", "west")), "web") as seen:
            await seen.until(lambda s: s.version > 0, within=2)
            assert len(seen.newest.endpoints) == 1
            assert seen.newest.problem == "west: no answer yet"


async def test_a_port_of_something_else_is_told_as_that() -> None:
    """One that speaks gRPC, and one without TLS: in words, and not as what a library saw of it."""
    async with serving() as wire, ConsulClient(ConsulConfig(address=wire.address)) as client:
        with pytest.raises(ServiceUnavailableError, match=r" speaks no HTTP$"):
            await client.look_up("web")
    async with impostor() as (_, config):
        certain = replace(config, secure=True)
        async with ConsulClient(certain) as client:
            with pytest.raises(
                ServiceUnavailableError, match=r"cannot be reached: no TLS: wrong version number$"
            ):
                await client.look_up("web")
