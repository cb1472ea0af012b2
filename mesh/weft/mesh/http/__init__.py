"""HTTP by name: discovery, balancing, retries and tracing over one pooled client."""

from __future__ import annotations

from weft.mesh.http.caller import HttpCaller, HttpStream
from weft.mesh.http.config import HttpConfig
from weft.mesh.http.pool import HttpPool
from weft.mesh.http.request import HttpData, HttpParams
from weft.mesh.http.response import HttpResponse
from weft.mesh.http.routes import http_routes
from weft.mesh.http.timeouts import HttpTimeouts
from weft.mesh.http.tracing import NO_HTTP_TRACING, HttpCallTracer

__all__ = [
    "NO_HTTP_TRACING",
    "HttpCallTracer",
    "HttpCaller",
    "HttpConfig",
    "HttpData",
    "HttpParams",
    "HttpPool",
    "HttpResponse",
    "HttpStream",
    "HttpTimeouts",
    "http_routes",
]
