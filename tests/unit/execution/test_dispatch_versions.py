"""Steps and calls that take a range of versions get the actions, schemas and instances of one API version."""

from __future__ import annotations

import pytest

from tests.unit.execution.world import SERVICE, World, new_world
from weft.core.errors import PreconditionError, ResourceNotFoundError, ValidationError
from weft.core.payload import JsonObject
from weft.core.reasons import Reason
from weft.core.schema import Schema
from weft.core.version import VersionRange
from weft.discovery.model import Endpoint, Protocol
from weft.discovery.static import StaticResolver
from weft.mesh.caller import ActionCaller
from weft.mesh.mesh import Mesh, OneResolver
from weft.server.execution.engine.dispatch import CallIdentity, Dispatcher
from weft.server.registry.model import Action, Service

VERSIONS = ("1.3.0", "1.4.2", "2.0.0", "")


def takes(member: str) -> JsonObject:
    return {"type": "object", "required": [member], "properties": {member: {"type": "string"}}}


async def register(world: World, version: str, *actions: Action) -> None:
    now = world.clock.now()
    draft = Service(id="", name=SERVICE, version=version, actions=actions, create_time=now, update_time=now)
    await world.registry.register(draft, replace_existing=True, key=None)


async def two_versions(world: World) -> Dispatcher:
    """Register versions 1.4.2 and 2.0.0, the older one last, with instances of these and others."""
    await register(world, "2.0.0", Action(name="get", input_schema=takes("key")), Action(name="new"))
    await register(world, "1.4.2", Action(name="get", input_schema=takes("id")))
    endpoints = [Endpoint(host="127.0.0.1", port=1, instance_id=f"v{it}", version=it) for it in VERSIONS]
    await world.mesh.close()
    world.mesh = Mesh(OneResolver(StaticResolver({SERVICE: endpoints})))
    world.caller = ActionCaller(world.mesh, {Protocol.GRPC: world.provider})
    return Dispatcher(world.registry, world.caller)


async def called(dispatcher: Dispatcher, versions: str, given: JsonObject, action: str = "get") -> set[str]:
    wanted = VersionRange.parse(versions)

    def value(_: Schema) -> JsonObject:
        return given

    outcomes = [
        await dispatcher.call(SERVICE, action, value, CallIdentity(), versions=wanted) for _ in range(6)
    ]
    return {outcome.instance_id for outcome in outcomes}


async def test_each_version_has_its_own_schemas_and_instances() -> None:
    """Whichever registered last."""
    async with new_world() as world:
        dispatcher = await two_versions(world)
        assert await called(dispatcher, "^1.4", {"id": "7"}) == {"v1.4.2"}
        assert await called(dispatcher, "^1", {"id": "7"}) == {"v1.3.0", "v1.4.2"}
        assert await called(dispatcher, "^2", {"key": "7"}) == {"v2.0.0"}
        with pytest.raises(ValidationError, match="key"):
            await called(dispatcher, "^2", {"id": "7"})


async def test_who_says_nothing_gets_the_newest_api_version() -> None:
    """Its actions, and its instances only; ``*`` takes those without a version as well."""
    async with new_world() as world:
        dispatcher = await two_versions(world)
        assert await called(dispatcher, "", {"key": "7"}) == {"v2.0.0"}
        assert await called(dispatcher, "*", {"key": "7"}) == {"v2.0.0", "v"}
        assert await called(dispatcher, ">=1", {"key": "7"}) == {"v2.0.0"}


async def test_an_action_of_another_version_is_not_there() -> None:
    """The error names the version that was looked at."""
    async with new_world() as world:
        dispatcher = await two_versions(world)
        assert await called(dispatcher, "", {}, "new") == {"v2.0.0"}
        with pytest.raises(ResourceNotFoundError, match=r"in version 1\.4\.2") as missing:
            await called(dispatcher, "^1", {}, "new")
        assert missing.value.reason == Reason.ACTION_NOT_FOUND


async def test_a_version_that_is_not_registered() -> None:
    """The error has those that are."""
    async with new_world() as world:
        dispatcher = await two_versions(world)
        with pytest.raises(PreconditionError) as refused:
            await called(dispatcher, "^3", {})
        assert refused.value.reason == Reason.VERSION_NOT_AVAILABLE
        assert refused.value.metadata == {
            "service": SERVICE,
            "required": "^3",
            "available": "2.0.0, 1.4.2",
        }


async def test_a_version_without_an_instance() -> None:
    """The error has those of the instances."""
    async with new_world() as world:
        dispatcher = await two_versions(world)
        with pytest.raises(PreconditionError) as refused:
            await called(dispatcher, "~1.9", {"id": "7"})
        assert refused.value.reason == Reason.VERSION_NOT_AVAILABLE
        assert refused.value.metadata["available"] == "2.0.0, 1.4.2, 1.3.0"


async def test_alone_any_instance_will_do() -> None:
    """A service with one API version calls all of its instances, also those that say no version."""
    async with new_world() as world:
        await two_versions(world)
        await world.registry.deregister(SERVICE, "", None, "1")
        dispatcher = Dispatcher(world.registry, world.caller)
        assert await called(dispatcher, "", {"key": "7"}) == {"v1.3.0", "v1.4.2", "v2.0.0", "v"}
