"""Consul's answers as endpoints, whatever stands in them."""

from __future__ import annotations

import copy
import logging
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.discovery.consul._entries import Reader
from weft.discovery.model import Health, Protocol


def entry(**service: Any) -> dict[str, Any]:
    return {
        "Node": {"Node": "n1", "Address": "10.0.0.1", "Datacenter": "dc1", "Meta": {"zone": "rack-7"}},
        "Service": {"ID": "web", "Service": "web", "Port": 80, "Tags": [], "Meta": None} | service,
        "Checks": [],
    }


def read(*entries: Any) -> list[Any]:
    return list(Reader("web").read(entries))


def test_the_least_that_an_entry_needs() -> None:
    """A service without checks, tags and metadata passes, speaks gRPC, and is in its node's zone."""
    (found,) = read(entry())
    assert (found.key, found.address, found.protocol) == ("web:n1", "10.0.0.1:80", Protocol.GRPC)
    assert (found.health, found.weight, found.zone) == (Health.PASSING, 1, "rack-7")


@pytest.mark.parametrize(
    ("meta", "tags", "protocol", "secure"),
    [
        ({}, [], Protocol.GRPC, False),
        ({}, ["http"], Protocol.HTTP, False),
        ({}, ["HTTPS"], Protocol.HTTP, True),
        ({}, ["http", "grpc"], Protocol.GRPC, False),
        ({"protocol": "http"}, ["grpc"], Protocol.HTTP, False),
        ({"protocol": "GRPC", "secure": "true"}, ["http"], Protocol.GRPC, True),
        ({"protocol": "thrift"}, [], Protocol.GRPC, False),
    ],
)
def test_what_it_speaks(meta: dict[str, str], tags: list[str], protocol: Protocol, secure: object) -> None:
    """Metadata decides, else a tag, else it is gRPC."""
    (found,) = read(entry(Meta=meta, Tags=tags))
    assert (found.protocol, found.secure) == (protocol, secure)


@pytest.mark.parametrize(
    ("statuses", "health"),
    [
        (["passing", "passing"], Health.PASSING),
        (["passing", "warning"], Health.WARNING),
        (["warning", "critical", "passing"], Health.CRITICAL),
        (["unheard of"], Health.CRITICAL),
        ([None], Health.CRITICAL),
    ],
)
def test_the_worst_check_wins(statuses: list[Any], health: Health) -> None:
    """Checks of the node and of the service count alike; a status that is unknown is bad."""
    item = entry() | {"Checks": [{"CheckID": "c", "Status": status} for status in statuses]}
    assert read(item)[0].health is health


@pytest.mark.parametrize("check_id", ["_node_maintenance", "_service_maintenance:web"])
def test_maintenance_is_draining(check_id: str) -> None:
    """An operator's maintenance mode takes an instance out of service without calling it sick."""
    item = entry() | {"Checks": [{"CheckID": check_id, "Status": "critical"}]}
    assert read(item)[0].health is Health.DRAINING


@pytest.mark.parametrize(
    "service",
    [
        {"Port": 0},
        {"Port": -1},
        {"Port": 65_536},
        {"Port": "80"},
        {"Port": True},
        {"Port": None},
        {"Address": "a b"},
        {"Address": "evil.example/path"},
        {"Address": "10.0.0.1:80"},
        {"Address": "0.0.0.0"},
        {"Address": "::"},
        {"Address": "224.0.0.1"},
        {"ID": ""},
    ],
)
def test_what_cannot_be_dialled_is_left_out(
    service: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """It is skipped with one line, however often the list is read; the others are not touched by it."""
    reader = Reader("web")
    with caplog.at_level(logging.WARNING, "weft.discovery.consul"):
        for _ in range(3):
            found = reader.read([entry(**{"ID": "bad"} | service), entry(ID="good")])
            assert [endpoint.key for endpoint in found] == ["good:n1"]
    assert len(caplog.records) == 1
    assert "skipped" in caplog.records[0].getMessage()


def test_an_id_that_two_have_stands_for_both(caplog: pytest.LogCaptureFixture) -> None:
    """Two processes with one id on two nodes are both called, told apart by node, with one warning."""
    here = entry(Meta={"weft-instance": "web-1"})
    there = copy.deepcopy(here)
    there["Node"] = {"Node": "n2", "Address": "10.0.0.2"}
    for answer in ([here, there], [there, here]):
        caplog.clear()
        found = {endpoint.key: endpoint.address for endpoint in read(*answer)}
        assert found == {"web-1": "10.0.0.1:80", "web-1:n2": "10.0.0.2:80"}
        assert "have the same id 'web-1'; both are called" in caplog.text


def test_an_id_that_many_of_one_node_have(caplog: pytest.LogCaptureFixture) -> None:
    """None of them is lost, however many share it."""
    entries = [entry(ID=f"s-{port}", Port=port, Meta={"weft-instance": "web-1"}) for port in range(80, 84)]
    assert {endpoint.port for endpoint in read(*entries)} == {80, 81, 82, 83}
    assert "have the same id" in caplog.text


def test_an_answer_full_of_faults_is_few_lines(caplog: pytest.LogCaptureFixture) -> None:
    """The first ten are named, the others counted."""
    reader = Reader("web")
    for _ in range(2):
        assert reader.read([entry(ID=f"bad-{number}", Port=0) for number in range(1_000)]) == ()
    assert len(caplog.records) == 11
    assert "990 more" in caplog.records[-1].getMessage()


def test_the_order_of_an_answer_means_nothing() -> None:
    """Consul may list instances in any order; the endpoints are the same."""
    entries = [entry(ID=f"web-{number}") for number in range(5)]
    assert read(*entries) == read(*reversed(entries))


@pytest.mark.parametrize(
    ("meta", "tags", "version"),
    [
        ({"version": "1.2.3"}, ["version-9"], "1.2.3"),
        ({}, ["x", "version-1.4.2"], "1.4.2"),
        ({}, ["version=1.4.2"], "1.4.2"),
        ({}, ["v1"], ""),
    ],
)
def test_the_version(meta: dict[str, str], tags: list[str], version: str) -> None:
    """Metadata decides, else a tag."""
    assert read(entry(Meta=meta, Tags=tags))[0].version == version


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(["passing", "web", "::1"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["Node", "Service", "Checks", "ID", "Port", "Address", "Tags", "Meta", "Weights", "Passing"]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(_JSON, max_size=4))
def test_no_answer_breaks_the_reader(entries: list[Any]) -> None:
    """Whatever JSON comes, only endpoints that can be dialled come out, each with a key of its own."""
    found = read(*entries)
    assert len({endpoint.key for endpoint in found}) == len(found)
    assert all(1 <= e.port <= 65_535 and e.host and 1 <= e.weight <= 65_535 for e in found)
