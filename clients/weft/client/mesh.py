"""Calls to any service by name: found, balanced, retried and traced, without a proxy in between.

``connect_mesh`` is where to begin.
"""

from __future__ import annotations

from weft.client._transport.mesh import MeshClient, connect_mesh
from weft.discovery.consul import ConsulConfig
from weft.discovery.dns_config import DnsConfig
from weft.discovery.model import Endpoint, Health, Protocol, Snapshot
from weft.discovery.resolvers import SourcesConfig, sources_config
from weft.mesh.balancing import BalancerConfig
from weft.mesh.call_options import CallOptions, RetryMethods
from weft.mesh.dynamic.descriptors import ServiceDescriptors
from weft.mesh.http import HttpCaller, HttpConfig, HttpResponse, HttpTimeouts
from weft.mesh.mesh import MeshConfig

__all__ = [
    "BalancerConfig",
    "CallOptions",
    "ConsulConfig",
    "DnsConfig",
    "Endpoint",
    "Health",
    "HttpCaller",
    "HttpConfig",
    "HttpResponse",
    "HttpTimeouts",
    "MeshClient",
    "MeshConfig",
    "Protocol",
    "RetryMethods",
    "ServiceDescriptors",
    "Snapshot",
    "SourcesConfig",
    "connect_mesh",
    "sources_config",
]
