"""Who is alive where."""

from weft.discovery.base import Resolver
from weft.discovery.model import Endpoint, Health, Protocol, Snapshot
from weft.discovery.static import StaticResolver

__all__ = ["Endpoint", "Health", "Protocol", "Resolver", "Snapshot", "StaticResolver"]
