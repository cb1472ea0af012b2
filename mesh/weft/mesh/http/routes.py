"""Routes of a mesh for HTTP."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final, Protocol

from weft.discovery.model import Protocol as Speaks
from weft.discovery.target import Target, parse_target
from weft.mesh.route import Route

__all__ = ["RouteSource", "http_routes"]

_ADDRESSES_ONLY: Final = frozenset({"static", "dns"})
"""Sources that know addresses and nothing of what is spoken there: the caller knows it."""

_MAX_KNOWN: Final = 1_024
"""How many targets are read once and remembered."""


class RouteSource(Protocol):
    """Gives routes; a ``Mesh``."""

    def route(self, target: str | Target, *, protocol: Speaks | None) -> Route:
        """Return the route to a service."""
        ...


def http_routes(mesh: RouteSource) -> Callable[[str], Route]:
    """Return what gives an ``HttpCaller`` its routes: to the instances that speak HTTP.

    Args:
        mesh: Finds instances.
    """
    read = lru_cache(maxsize=_MAX_KNOWN)(parse_target)

    def route(target: str) -> Route:
        parsed = read(target)
        any_will_do = parsed.scheme in _ADDRESSES_ONLY
        return mesh.route(parsed, protocol=None if any_will_do else Speaks.HTTP)

    return route
