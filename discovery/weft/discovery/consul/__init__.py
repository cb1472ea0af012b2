"""Consul: registration of instances, and where services are."""

from weft.discovery.consul.client import ConsulClient
from weft.discovery.consul.config import ConsulConfig
from weft.discovery.consul.environment import consul_config
from weft.discovery.consul.registrar import ConsulRegistrar
from weft.discovery.consul.registration import HealthReport, Registration
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
