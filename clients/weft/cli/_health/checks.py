"""What ``weft doctor`` looks at."""

from __future__ import annotations

import asyncio
import os
import platform
import re
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, requires, version
from time import monotonic
from typing import Any, Final

import grpc
import grpc.aio
from grpc_reflection.v1alpha import reflection_pb2

from weft.cli._base.errors import explained
from weft.cli._base.session import Settings, mesh_to
from weft.cli._base.text import clean, humanize_seconds, plural
from weft.client import NO_RETRY, Client, RetryPolicies, connect
from weft.core.errors import WeftError
from weft.core.variables import misspelt

__all__ = ["Check", "proxy_check", "requirement_checks", "run_checks"]

PATIENCE: Final = timedelta(seconds=5)
"""How long one request may take."""

SERVICES: Final = (
    "",
    "weft.api.registry.v1.RegistryService",
    "weft.api.workflow.v1.WorkflowService",
    "weft.api.execution.v1.ExecutionService",
)

_STRANGE: Final = "is it a Weft server?"
"""The hint where nobody answers as one does: whatever else is asked there says the same."""
_SKEW_LIMIT: Final = timedelta(seconds=2)
_PACKAGES: Final = ("grpcio", "protobuf", "grpcio-health-checking", "grpcio-reflection")
_REQUIREMENT: Final = re.compile(r"(?P<name>[A-Za-z0-9._-]+)>=(?P<least>[0-9.]+)")
_REFLECTION: Final = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
_ONCE: Final = RetryPolicies(create=NO_RETRY, update=NO_RETRY, delete=NO_RETRY, read=NO_RETRY, watch=NO_RETRY)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    """What."""
    status: str
    """``OK``, ``WARN`` or ``FAIL``."""
    detail: str
    """What was found."""
    hint: str = ""
    """What to do about it."""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON object."""
        return asdict(self)


async def run_checks(settings: Settings) -> AsyncIterator[Check]:
    """Yield the checks as they are done; those that cannot succeed any more are left out."""
    yield python_check()
    for check in requirement_checks():
        yield check
    for text in misspelt(os.environ):
        yield Check("environment", "WARN", text)
    try:
        found, addresses = await find_servers(settings)
    except WeftError as error:
        yield Check("target", "FAIL", clean(error.message), "use --target host:port")
        return
    if found is not None:
        yield found
    reached = ""
    for address in addresses:
        yield proxy_check(address, os.environ)
        connection = await reach_check(address)
        yield connection
        reached = reached or (address if connection.status == "OK" else "")
    if not reached:
        return
    async with connect(reached, timeout=settings.request_timeout or PATIENCE, retry=_ONCE) as client:
        for service in SERVICES:
            health = await health_check(client, service)
            yield health
            if health.hint == _STRANGE:
                return
        async for check in server_checks(client):
            yield check
        yield await reflection_check(reached)


async def find_servers(settings: Settings) -> tuple[Check | None, tuple[str, ...]]:
    """Return the addresses that the target means, and what was found when it was looked up.

    Raises:
        ValidationError: The target is wrong, or cannot be looked up.
    """
    async with mesh_to(settings) as mesh:
        if mesh is None:
            return None, (connect(settings.target).target,)
        found = await mesh.resolve(settings.target, timeout=settings.request_timeout or PATIENCE)
    known = clean(found.summary()) if found.version else "no source has answered yet"
    detail = f"{settings.target}: {known}"
    addresses = tuple(it.address for it in found.callable())
    if not addresses:
        return Check("discovery", "FAIL", detail, "`weft resolve` shows what is known"), ()
    return Check("discovery", "WARN" if found.stale else "OK", detail), addresses


def python_check() -> Check:
    """Look at the interpreter."""
    found = f"{platform.python_version()} ({sys.executable})"
    if sys.version_info < (3, 11):  # noqa: UP036 - whoever runs an older one shall hear it
        return Check("python", "FAIL", found, "Weft needs Python 3.11 or later")
    return Check("python", "OK", found)


def requirement_checks(
    find_version: Callable[[str], str] = version, needed: list[str] | None = None
) -> Iterator[Check]:
    """Look at the versions of what generated code depends on.

    Args:
        find_version: Returns the version of an installed distribution.
        needed: Requirements; by default those of the installed ``weft``.
    """
    least = _least_versions(needed)
    for name in ("weft", *_PACKAGES):
        try:
            found = find_version(name)
        except PackageNotFoundError:
            yield Check(name, "FAIL", "is not installed", f"pip install '{name}>={least.get(name, '0')}'")
            continue
        if _numbers(found) < _numbers(least.get(name, "0")):
            yield Check(name, "FAIL", f"{found} is too old", f"pip install '{name}>={least[name]}'")
        else:
            yield Check(name, "OK", found)


def _least_versions(needed: list[str] | None) -> dict[str, str]:
    if needed is None:
        needed = []
        with suppress(PackageNotFoundError):
            needed = requires("weft") or []
    matches = (_REQUIREMENT.match(item) for item in needed)
    return {match["name"]: match["least"] for match in matches if match}


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def proxy_check(target: str, environment: Any) -> Check:
    """Look for a proxy, which gRPC uses even for this machine's own addresses."""
    names = ("grpc_proxy", "https_proxy", "http_proxy")
    name = next((name for name in names if environment.get(name)), "")
    if not name:
        return Check("proxy", "OK", "none")
    host = target.rpartition(":")[0].strip("[]")
    exempt = f"{environment.get('no_grpc_proxy', '')},{environment.get('no_proxy', '')}".split(",")
    if any(part.strip() and host.endswith(part.strip()) for part in exempt):
        return Check("proxy", "OK", f"{name} is set, {host} is exempt")
    return Check("proxy", "WARN", f"{name} is set, and {host} is not in no_proxy", f"export no_proxy={host}")


async def reach_check(target: str) -> Check:
    """Open a plain connection, which says more than gRPC does about why it fails."""
    host, _, port = target.rpartition(":")
    begin = monotonic()
    try:
        async with asyncio.timeout(PATIENCE.total_seconds()):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except ConnectionRefusedError:
        hint = "start one with `weft server`, or name another with --target"
        return Check("connection", "FAIL", f"no server listens on {target}", hint)
    except TimeoutError:
        return Check("connection", "FAIL", f"{target} does not answer", "is a firewall in between?")
    except OSError as error:
        return Check("connection", "FAIL", f"{target}: {clean(error.strerror or error)}", "check --target")
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return Check("connection", "OK", f"{target} in {humanize_seconds(monotonic() - begin)}")


async def health_check(client: Client, service: str) -> Check:
    """Ask the standard health service for the server, or for one gRPC service."""
    name = f"health of {service.rpartition('.')[2] or 'the server'}"
    try:
        state = await client.health.check(service)
    except WeftError as error:
        return Check(name, "FAIL", clean(explained(error, client.target).message), _STRANGE)
    if state == "SERVING":
        return Check(name, "OK", state)
    return Check(name, "FAIL", state, "the log of the server says why")


async def server_checks(client: Client) -> AsyncIterator[Check]:
    """Ask the server for its own view: dependencies, services, and its clock."""
    before = datetime.now(UTC)
    try:
        found = await client.registry.integration_health()
    except WeftError as error:
        yield Check("integration health", "FAIL", clean(error.message))
        return
    after = datetime.now(UTC)
    for part in found.dependencies:
        status = {"HEALTHY": "OK", "DEGRADED": "WARN"}.get(part.health, "FAIL")
        yield Check(f"dependency {part.name}", status, clean(part.note or part.health))
    sick = [it for it in found.services if it.health != "HEALTHY"]
    for it in sick:
        hint = f"`weft health {it.service}` shows its instances"
        yield Check(f"service {it.service}", "WARN", clean(it.note or it.health), hint)
    yield Check("services", "OK", f"{plural(len(found.services) - len(sick), 'service')} healthy")
    skew = clock_check(found.server.get("time"), before, after)
    if skew:
        yield skew


def clock_check(stamp: object, before: datetime, after: datetime) -> Check | None:
    """Compare the clocks, when the server says what time it has.

    Args:
        stamp: The server's time, RFC 3339.
        before: Our time when the request left.
        after: Our time when the answer was there.
    """
    try:
        theirs = datetime.fromisoformat(str(stamp))
        skew = max(before - theirs, theirs - after, timedelta(0))
    except (ValueError, TypeError):
        return None
    detail = f"apart by {humanize_seconds(skew.total_seconds())}" if skew else "agree"
    if skew > _SKEW_LIMIT:
        return Check("clocks", "WARN", detail, "set one of the clocks; times and deadlines will mislead")
    return Check("clocks", "OK", detail)


async def reflection_check(target: str) -> Check:
    """List the gRPC services, as grpcurl does."""
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    async with grpc.aio.insecure_channel(target) as channel:
        # One request is all it takes. On the wire that is the same as a stream of one, and
        # a refused stream loses its status in grpc.aio when the write fails before the read.
        ask = channel.unary_stream(
            _REFLECTION,
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        try:
            async for reply in ask(request, timeout=PATIENCE.total_seconds()):
                found = len(reply.list_services_response.service)
                return Check("reflection", "OK", plural(found, "gRPC service"))
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNIMPLEMENTED:
                return Check("reflection", "WARN", clean(error.details() or error.code().name))
    return Check("reflection", "WARN", "is off", "grpcurl and buf curl need the .proto files then")
