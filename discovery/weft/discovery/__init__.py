"""Who is alive where.

What needs a library of its own to be loaded stands in its own module: the sources
``dns``, ``registry`` and ``consul``, and ``resolvers``, which has them all.
"""

from weft.discovery.backoff import Backoff
from weft.discovery.base import Resolver
from weft.discovery.binding import BoundResolver
from weft.discovery.environment import EnvironmentResolver
from weft.discovery.known import KnownList
from weft.discovery.model import Endpoint, Health, Protocol, Snapshot
from weft.discovery.static import StaticResolver
from weft.discovery.target import Target, parse_location, parse_target
from weft.discovery.watch import Watch

__all__ = [
    "Backoff",
    "BoundResolver",
    "Endpoint",
    "EnvironmentResolver",
    "Health",
    "KnownList",
    "Protocol",
    "Resolver",
    "Snapshot",
    "StaticResolver",
    "Target",
    "Watch",
    "parse_location",
    "parse_target",
]
