"""A connected instance instead of one that is not: no call waits for a connection while others are there."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import grpc

from weft.mesh._calls.origin import Origin
from weft.mesh.balancing import Node
from weft.mesh.pool import Connection
from weft.mesh.route import Route

__all__ = ["connected_one"]

_READY: Final = grpc.ChannelConnectivity.READY


def connected_one(
    origin: Origin, route: Route, node: Node, tried: Collection[Node] = ()
) -> tuple[Node, Connection | None]:
    """Return an instance and the connection to it, lent, where one can be had at once.

    The one that was picked is taken when it is connected. Else another one that is,
    and the picked one is dialled meanwhile. A policy that keeps calls together has
    no other one.

    Args:
        origin: The channel's.
        route: The service.
        node: The instance that was picked.
        tried: Those that the call must not get again.
    """
    pool = origin.pool
    connection = pool.ready(node.endpoint)
    if connection is not None:
        return node, connection
    other = route.balancer.instead(node, lambda each: pool.state(each.endpoint) is _READY, tried)
    if other is None:
        return node, None
    connection = pool.ready(other.endpoint)
    if connection is None:  # it is leaving
        route.done(other, None, 0.0)
        return node, None
    pool.warm(node.endpoint, route.service, lambda failed, seconds: route.done(node, failed, seconds))
    return other, connection
