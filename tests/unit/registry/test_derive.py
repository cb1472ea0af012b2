"""When actions are read from a server, and what comes of it when they cannot be."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from weft.core.errors import PreconditionError, ServiceUnavailableError, ValidationError, Violation, WeftError
from weft.core.reasons import Reason, Rule
from weft.discovery.model import Endpoint
from weft.discovery.target import Target
from weft.server.registry.derive import MAX_ACTIONS, Derived, Deriver
from weft.server.registry.model import Action, Service

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GET = Action(name="Get", grpc_method="shop.v1.Carts/Get")


class Source:
    """Answers the same whoever asks, and remembers what it was asked."""

    def __init__(self, *actions: Action, fails: WeftError | None = None) -> None:
        self.derived = Derived(actions=actions, descriptor_set=b"read")
        self.fails = fails
        self.asked: list[tuple[Endpoint | Target | None, bytes, tuple[str, ...]]] = []

    async def __call__(
        self, where: Endpoint | Target | None, descriptor_set: bytes, grpc_services: tuple[str, ...]
    ) -> Derived:
        self.asked.append((where, descriptor_set, grpc_services))
        if self.fails is not None:
            raise self.fails
        return self.derived


def draft(**fields: Any) -> Service:
    return Service(id="", name="carts", create_time=NOW, update_time=NOW, **fields)


@pytest.mark.parametrize("endpoint", ["grpc://127.0.0.1:1", "consul://carts?tag=v1", "dns:///carts:50051"])
async def test_an_address_that_speaks_grpc_is_asked(endpoint: str) -> None:
    """Its actions and descriptors become those of the registration."""
    source = Source(GET)
    made = await Deriver(source).complete(draft(endpoint=endpoint), ("shop.v1.Carts",))
    assert (made.actions, made.descriptor_set) == ((GET,), b"read")
    assert source.asked[0][1:] == (b"", ("shop.v1.Carts",))


async def test_a_descriptor_set_is_enough() -> None:
    """Without an endpoint nobody is to be asked."""
    source = Source(GET)
    made = await Deriver(source).complete(draft(descriptor_set=b"given"), ())
    assert made.actions == (GET,)
    assert source.asked == [(None, b"given", ())]


@pytest.mark.parametrize(
    "fields",
    [
        {"endpoint": "http://127.0.0.1:1"},
        {"endpoint": "grpc://127.0.0.1:1", "actions": (Action(name="a"),)},
        {},
    ],
)
async def test_others_are_not_asked(fields: dict[str, Any]) -> None:
    """Neither HTTP, nor who brings its actions, nor who has instances only."""
    source = Source(GET)
    assert await Deriver(source).complete(draft(**fields), ()) == draft(**fields)
    assert source.asked == []


async def test_actions_that_name_rpcs_are_held_against_the_descriptors() -> None:
    """They stay as they were given; one whose RPC is not there is refused by its path."""
    own = Action(name="get", description="mine", grpc_method=GET.grpc_method)
    made = await Deriver(Source(GET)).complete(draft(endpoint="grpc://h:1", actions=(own,)), ())
    assert (made.actions, made.descriptor_set) == ((own,), b"read")
    wrong = Action(name="put", grpc_method="shop.v1.Carts/Put")
    with pytest.raises(ValidationError) as refused:
        await Deriver(Source(GET)).complete(draft(endpoint="grpc://h:1", actions=(own, wrong)), ())
    assert refused.value.violations[0].field == "service.actions[1].grpc_method"


async def test_actions_that_name_rpcs_need_descriptors() -> None:
    """Somebody must say what their messages are."""
    with pytest.raises(ValidationError) as refused:
        await Deriver(Source(GET)).complete(draft(actions=(GET,)), ())
    (violation,) = refused.value.violations
    assert (violation.field, violation.reason) == ("service.descriptor_set", Rule.REQUIRED)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (Source(), "nothing to call"),
        (Source(fails=ServiceUnavailableError("carts", "connection refused")), "connection refused"),
        (Source(fails=PreconditionError("reflection is refused")), "reflection is refused"),
    ],
)
async def test_what_cannot_be_read_is_refused(source: Source, why: str) -> None:
    """With the endpoint, and the reason in words."""
    with pytest.raises(PreconditionError) as refused:
        await Deriver(source).complete(draft(endpoint="grpc://h:1"), ())
    assert refused.value.reason == Reason.DESCRIPTORS_UNAVAILABLE
    assert refused.value.metadata == {"service": "carts", "endpoint": "grpc://h:1"}
    assert why in refused.value.message


async def test_a_server_that_does_not_answer_is_given_up() -> None:
    """The registration ends in time."""

    async def silent(*_: object) -> Derived:
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(PreconditionError) as refused:
        await Deriver(silent, timedelta(milliseconds=1)).complete(draft(endpoint="grpc://h:1"), ())
    assert refused.value.reason == Reason.DESCRIPTORS_UNAVAILABLE


async def test_faults_of_the_descriptors_are_told_as_they_are() -> None:
    """They are faults of the request."""
    fault = ValidationError([Violation("service.descriptor_set", "no set", Rule.DESCRIPTORS_INVALID)])
    with pytest.raises(ValidationError) as refused:
        await Deriver(Source(fails=fault)).complete(draft(descriptor_set=b"x"), ())
    assert refused.value is fault


async def test_too_many_actions_are_refused() -> None:
    """With what to do about it."""
    many = [Action(name=f"a{number}", grpc_method=f"s.S/a{number}") for number in range(MAX_ACTIONS + 1)]
    with pytest.raises(ValidationError) as refused:
        await Deriver(Source(*many)).complete(draft(endpoint="grpc://h:1"), ())
    (violation,) = refused.value.violations
    assert (violation.field, violation.reason) == ("grpc_services", Rule.TOO_MANY)
