"""Who is alive where."""

from weft.discovery.base import Resolver
from weft.discovery.known import KnownList
from weft.discovery.model import Endpoint, Health, Protocol, Snapshot
from weft.discovery.static import StaticResolver
from weft.discovery.target import Target, parse_location, parse_target
from weft.discovery.watch import Watch

__all__ = [
    "Endpoint",
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
