"""Consul: registration of instances, and where services are.

What talks to Consul needs an HTTP client that is slow to import: it is loaded when it is used first.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from weft.discovery.consul.config import ConsulConfig
from weft.discovery.consul.environment import consul_config
from weft.discovery.consul.registration import HealthReport, Registration

if TYPE_CHECKING:
    from weft.discovery.consul.client import ConsulClient
    from weft.discovery.consul.registrar import ConsulRegistrar
    from weft.discovery.consul.resolver import ConsulResolver

__all__ = [
    "ConsulClient",
    "ConsulConfig",
    "ConsulRegistrar",
    "ConsulResolver",
    "HealthReport",
    "Registration",
    "consul_config",
]

_LATER: Final = {"ConsulClient": "client", "ConsulRegistrar": "registrar", "ConsulResolver": "resolver"}


def __getattr__(name: str) -> Any:
    """Return what is loaded when it is used first."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
