"""What Consul is told of an instance."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.core.errors import ValidationError
from weft.discovery.consul import ConsulConfig, HealthReport, Registration
from weft.discovery.consul._entries import Reader
from weft.discovery.consul._turns import Turns
from weft.discovery.model import Endpoint, Health, Protocol

_THERE = Endpoint(host="10.0.0.1", port=80, instance_id="web-1")


def test_a_registration_that_cannot_be_called_is_refused() -> None:
    """Every fault at once."""
    with pytest.raises(ValidationError) as error:
        Registration(service="", endpoint=Endpoint(host="a b", port=0, weight=0))
    assert [v.field for v in error.value.violations] == [
        "service",
        "endpoint.instance_id",
        "endpoint.host",
        "endpoint.port",
        "endpoint.weight",
    ]


def test_metadata_that_consul_cannot_store_is_left_out_and_named(caplog: pytest.LogCaptureFixture) -> None:
    """A key of other characters, a value that is too long, a reserved key: the rest is registered."""
    metadata = {"team": "a", "a.b": "1", "long": "é" * 257, "protocol": "smoke", "version": "2.0.0"}
    there = replace(_THERE, metadata=metadata, version="2.0.0")
    assert Registration(service="web", endpoint=there).meta() == {
        "weft-instance": "web-1",
        "protocol": "grpc",
        "version": "2.0.0",
        "team": "a",
    }
    assert "a.b, long, protocol" in caplog.text


def test_no_more_metadata_than_consul_takes(caplog: pytest.LogCaptureFixture) -> None:
    """Consul refuses a registration with more than 64 pairs, so it never gets one."""
    there = replace(_THERE, metadata={f"key-{number}": "x" for number in range(80)})
    assert len(Registration(service="web", endpoint=there).meta()) == 64
    assert "left out" in caplog.text


def test_a_tag_stands_there_once() -> None:
    """What the caller tagged already is not added again."""
    there = replace(_THERE, tags=("grpc", "fast", "fast"))
    assert Registration(service="web", endpoint=there, environment="qa").tags() == ["grpc", "fast", "env-qa"]


@pytest.mark.parametrize(
    ("health", "status"),
    [
        (Health.PASSING, "passing"),
        (Health.WARNING, "warning"),
        (Health.CRITICAL, "critical"),
        (Health.DRAINING, "critical"),
    ],
)
def test_the_first_status_is_the_true_one(health: Health, status: str) -> None:
    """A registration says how well the instance is, so that no moment of it is guessed."""
    definition = Registration(service="web", endpoint=_THERE).definition(
        ConsulConfig(prefix="a-"), HealthReport(health=health)
    )
    assert (definition["Name"], definition["Check"]["Status"]) == ("a-web", status)


_KEYS = st.from_regex(r"[a-z]{1,8}", fullmatch=True).map(lambda text: f"k-{text}")


@settings(max_examples=100, deadline=None)
@given(
    protocol=st.sampled_from(list(Protocol)),
    secure=st.booleans(),
    path=st.sampled_from(["", "/a", "/a/b"]),
    weight=st.integers(1, 65_535),
    version=st.sampled_from(["", "1.0.0", "2.0.0-rc.1"]),
    zone=st.sampled_from(["", "a"]),
    metadata=st.dictionaries(_KEYS, st.text(max_size=20), max_size=4),
    host=st.sampled_from(["10.0.0.1", "::1", "web.internal"]),
)
def test_every_endpoint_comes_back_exactly(**fields: Any) -> None:
    """What is registered is what is read, but for the tags that are added."""
    there = replace(_THERE, **fields)
    definition = Registration(service="web", endpoint=there).definition(ConsulConfig(), HealthReport())
    node = {"Node": "n1", "Address": "10.9.9.9", "Datacenter": "dc1"}
    (found,) = Reader("web").read([{"Node": node, "Service": definition, "Checks": []}])
    assert found == replace(there, tags=tuple(definition["Tags"]), datacenter="dc1")


def test_waits_get_short_once_watches_are_more_than_places() -> None:
    """A thousand watches over a hundred places have their turn every ten seconds; none waits below one."""
    turns = Turns(100, longest=timedelta(seconds=55), rotation=timedelta(seconds=10))
    waits = []
    for _ in range(10_000):
        turns.enter()
        waits.append(turns.wait)
    assert (waits[99], waits[199], waits[999], waits[9_999]) == (55.0, 5.0, 1.0, 1.0)
    for _ in range(9_950):
        turns.leave()
    assert turns.wait == 55.0


async def test_a_long_wait_gives_way_to_those_that_queue() -> None:
    """A wait that began alone is cut when others come, and the first of them gets its place."""
    turns = Turns(1, longest=timedelta(seconds=55), rotation=timedelta(seconds=1))

    async def hold() -> str:
        turns.enter()
        try:
            async with turns.turn():
                await asyncio.Event().wait()
        except TimeoutError:
            return "cut"
        return "over"

    first = asyncio.create_task(hold())
    await asyncio.sleep(0)
    turns.enter()
    async with asyncio.timeout(4), turns.turn() as seconds:
        assert seconds == 1.0
    assert await first == "cut"
