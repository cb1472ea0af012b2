"""Services that whoever starts the process names in its environment."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from typing import Final

from weft.core.errors import ValidationError, Violation
from weft.core.reasons import Rule
from weft.discovery.endpoint import parse_address, parse_endpoint
from weft.discovery.model import Endpoint, Snapshot

__all__ = ["EnvironmentResolver", "variable_of"]

_VARIABLE: Final = re.compile(r"SERVICE_[A-Z0-9_]+_URL")


def variable_of(service: str) -> str:
    """Return the variable of a service: ``SERVICE_ORDERS_V2_URL`` for ``orders-v2``."""
    return f"SERVICE_{service.upper().replace('-', '_').replace('.', '_')}_URL"


class EnvironmentResolver:
    """Resolves from variables such as ``SERVICE_ORDERS_URL=grpc://10.0.0.7:50051,10.0.0.8:50051``.

    A value is a list of ``grpc://host:port``, ``http[s]://host[:port][/path]`` or
    ``host:port``, which speaks gRPC. An empty one counts as not set. It is read
    once, as an environment does not change.

    Args:
        environ: The environment.

    Raises:
        ValidationError: Every fault of every such variable, by the variable's name.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        faults: list[Violation] = []
        self._table = {
            name: _read(name, value, faults)
            for name, value in sorted(environ.items())
            if _VARIABLE.fullmatch(name) and value.strip()
        }
        if faults:
            raise ValidationError(faults)

    def knows(self, service: str) -> bool:
        """Tell whether the environment names that service."""
        return variable_of(service) in self._table

    async def watch(self, service: str) -> AsyncIterator[Snapshot]:
        """Yield what the environment says, once."""
        endpoints = self._table.get(variable_of(service), ())
        yield Snapshot(service=service, endpoints=endpoints, version=1)
        await asyncio.Event().wait()


def _read(name: str, value: str, faults: list[Violation]) -> tuple[Endpoint, ...]:
    """Read the list in one variable, adding what is wrong with it to the faults."""
    endpoints: list[Endpoint] = []
    for url in (part.strip() for part in value.split(",")):
        try:
            endpoint = _endpoint(url, name)
        except ValidationError as error:
            faults.extend(error.violations)
            continue
        if endpoint in endpoints:
            faults.append(Violation(name, f"{url[:80]!r} stands there twice", Rule.DUPLICATE))
        endpoints.append(endpoint)
    return tuple(endpoints)


def _endpoint(url: str, name: str) -> Endpoint:
    if "://" in url:
        return parse_endpoint(url, name)
    host, port = parse_address(url, name)
    return Endpoint(host=host, port=port)
