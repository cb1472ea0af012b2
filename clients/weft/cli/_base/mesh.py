"""Calls that do not go through the server: over a mesh that looks where the environment says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from weft.cli._base.interrupts import interrupts
from weft.cli._base.session import Settings, mesh_client

if TYPE_CHECKING:
    from weft.client.mesh import MeshClient

__all__ = ["over_mesh", "with_version"]

T = TypeVar("T")


def over_mesh(settings: Settings, work: Callable[[MeshClient], Awaitable[T]], *, policy: str = "") -> T:
    """Do the work with a mesh, and close it, in an event loop of its own.

    Args:
        settings: Says where the registry is.
        work: What to do.
        policy: How calls are spread; empty for the usual way.

    Raises:
        ValidationError: Every variable of the environment with a wrong value.
    """
    return interrupts.run(_connected(settings, work, policy))


async def _connected(settings: Settings, work: Callable[[MeshClient], Awaitable[T]], policy: str) -> T:
    from weft.client.mesh import BalancerConfig, MeshConfig  # noqa: PLC0415 - slow to import

    config = MeshConfig(balancer=BalancerConfig(policy=policy)) if policy else None
    async with mesh_client(settings, config) as mesh:
        return await work(mesh)


def with_version(target: str, versions: str) -> str:
    """Return a target that takes only versions in a range.

    Raises:
        ValidationError: The target is wrong, or is of a kind that has no versions.
    """
    from weft.discovery.target import parse_target  # noqa: PLC0415 - for those who call directly

    parsed = parse_target(target)
    if not versions:
        return target
    return str(parse_target(str(replace(parsed, version=versions))))
