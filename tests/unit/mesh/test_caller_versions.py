"""A call that takes a range of versions: who gets it, and what is said when nobody fits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from weft.core.errors import PreconditionError, ServiceUnavailableError
from weft.core.reasons import Reason
from weft.core.version import VersionRange
from weft.discovery.model import Endpoint, Health, Protocol
from weft.discovery.static import StaticResolver
from weft.mesh.actions import ActionCall
from weft.mesh.caller import ActionCaller
from weft.mesh.mesh import Mesh, OneResolver


class Wire:
    """Answers every call at once; the reply names the endpoint."""

    async def invoke(self, endpoint: Endpoint, call: ActionCall, timeout: float) -> bytes:  # noqa: ARG002 - the port's
        return b"{}"

    async def close(self) -> None:
        """Nothing to close."""


def at(version: str, health: Health = Health.PASSING) -> Endpoint:
    return Endpoint(host="127.0.0.1", port=1, instance_id=version or "none", version=version, health=health)


def call(versions: str) -> ActionCall:
    return ActionCall(service="carts", action="get", input=b"{}", versions=VersionRange.parse(versions))


@pytest.fixture
def resolver() -> StaticResolver:
    return StaticResolver()


@pytest.fixture
async def caller(resolver: StaticResolver) -> AsyncIterator[ActionCaller]:
    mesh = Mesh(OneResolver(resolver))
    yield ActionCaller(mesh, {Protocol.GRPC: Wire()}, instance_wait=timedelta(seconds=0.1))
    await mesh.close()


async def called(caller: ActionCaller, versions: str) -> set[str]:
    return {(await caller.call(call(versions), 5.0)).instance_id for _ in range(8)}


async def test_only_instances_in_the_range_are_called(caller: ActionCaller, resolver: StaticResolver) -> None:
    """Without a range all of them, also those that say no version or one that cannot be read."""
    resolver.set("carts", [at("1.3.0"), at("1.4.2"), at("2.0.0"), at("nightly"), at("")])
    assert await called(caller, "^1.4") == {"1.4.2"}
    assert await called(caller, ">=1.4") == {"1.4.2", "2.0.0"}
    assert await called(caller, "=nightly") == {"nightly"}
    assert await called(caller, "") == {"1.3.0", "1.4.2", "2.0.0", "nightly", "none"}


async def test_health_counts_among_those_in_the_range(caller: ActionCaller, resolver: StaticResolver) -> None:
    """One with a warning is called when those that pass are of other versions."""
    resolver.set("carts", [at("1.4.2", Health.WARNING), at("2.0.0")])
    assert await called(caller, "^1.4") == {"1.4.2"}


async def test_none_in_the_range_fails_at_once(resolver: StaticResolver) -> None:
    """With the versions that there are: waiting would not help."""
    resolver.set("carts", [at("1.4.2"), at("2.0.0"), at("")])
    mesh = Mesh(OneResolver(resolver))
    caller = ActionCaller(mesh, {Protocol.GRPC: Wire()}, instance_wait=timedelta(hours=1))
    try:
        async with asyncio.timeout(5):
            with pytest.raises(PreconditionError) as refused:
                await caller.call(call("^3"), 3_600.0)
    finally:
        await mesh.close()
    assert refused.value.reason == Reason.VERSION_NOT_AVAILABLE
    told = {"service": "carts", "action": "get", "required": "^3", "available": "2.0.0, 1.4.2"}
    assert refused.value.metadata == told
    assert "2.0.0, 1.4.2" in refused.value.message


async def test_instances_without_a_version_are_told_as_such(
    caller: ActionCaller, resolver: StaticResolver
) -> None:
    """There is nothing to list."""
    resolver.set("carts", [at("")])
    with pytest.raises(PreconditionError, match="none that is named") as refused:
        await caller.call(call("^3"), 5.0)
    assert refused.value.metadata["available"] == ""


async def test_one_in_the_range_that_is_not_well_is_waited_for(
    caller: ActionCaller, resolver: StaticResolver
) -> None:
    """It is there and may recover: the call ends as without a range."""
    resolver.set("carts", [at("1.4.2", Health.CRITICAL), at("2.0.0")])
    with pytest.raises(ServiceUnavailableError) as refused:
        await caller.call(call("^1.4"), 5.0)
    assert refused.value.reason == Reason.NO_INSTANCE


async def test_no_instance_at_all_is_waited_for(caller: ActionCaller, resolver: StaticResolver) -> None:
    """As without a range."""
    resolver.set("carts", [])
    with pytest.raises(ServiceUnavailableError) as refused:
        await caller.call(call("^1.4"), 5.0)
    assert refused.value.reason == Reason.NO_INSTANCE


async def test_an_api_version_is_kept_to(caller: ActionCaller, resolver: StaticResolver) -> None:
    """What the registry chose holds beside the range."""
    resolver.set("carts", [at("1.4.2"), at("2.0.0"), at("")])
    wide = replace(call(""), versions=VersionRange.parse(">=1").within_api("2.0.0"))
    assert {(await caller.call(wide, 5.0)).instance_id for _ in range(4)} == {"2.0.0"}
    explicit = replace(call(""), versions=VersionRange.parse("*").within_api("2.0.0"))
    assert {(await caller.call(explicit, 5.0)).instance_id for _ in range(8)} == {"2.0.0", "none"}
