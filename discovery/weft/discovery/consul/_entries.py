"""Consul's answers read as endpoints."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from weft.discovery.consul.registration import INSTANCE, OWN_KEYS
from weft.discovery.endpoint import is_dialable, is_host
from weft.discovery.model import Endpoint, Health, Protocol

__all__ = ["Reader"]

_Item = tuple[str, Endpoint | None, str, bool]

_log = logging.getLogger("weft.discovery.consul")

_STATUS: Final = {"passing": Health.PASSING, "warning": Health.WARNING, "maintenance": Health.DRAINING}
_WORST_LAST: Final = (Health.PASSING, Health.WARNING, Health.CRITICAL, Health.DRAINING)
_HTTP_WORDS: Final = frozenset({"http", "https"})
_MAX_WEIGHT: Final = 65_535
_MOST_SAID: Final = 10
"""Problems of one answer that are named in the log."""


class Reader:
    """Reads the entries of one service, and says once what is wrong with one.

    Args:
        service: Its name, for messages.
    """

    def __init__(self, service: str) -> None:
        self._service = service
        self._said: set[str] = set()
        self.unheard: frozenset[str] = frozenset()
        """Keys of instances of the last answer that are critical only as nobody has reported for them."""

    def read(self, entries: Iterable[Any]) -> tuple[Endpoint, ...]:
        """Return the endpoints of an answer, sorted by key; entries without a usable address are left out."""
        found: dict[str, Endpoint] = {}
        problems: set[str] = set()
        unheard = set()
        for node, endpoint, problem, silent in sorted(map(_read, entries), key=_order):
            if silent and endpoint is not None:
                unheard.add(endpoint.key)
            if endpoint is None:
                problems.add(problem)
            elif endpoint.key not in found:
                found[endpoint.key] = endpoint
            else:
                other = found[endpoint.key]
                problems.add(
                    f"instances at {other.address} and {endpoint.address} have the same id "
                    f"{endpoint.instance_id!r}; both are called"
                )
                apart = f"{endpoint.instance_id}:{node}"
                if apart in found:
                    apart = f"{apart}:{endpoint.address}"
                found[apart] = replace(endpoint, instance_id=apart)
        self._say(problems)
        self.unheard = frozenset(unheard)
        return tuple(found[key] for key in sorted(found))

    def _say(self, problems: set[str]) -> None:
        fresh = sorted(problems - self._said)
        for problem in fresh[:_MOST_SAID]:
            _log.warning("Consul's list of %s: %s", self._service, problem)
        if (more := len(fresh) - _MOST_SAID) > 0:
            _log.warning("Consul's list of %s: %d more such entries", self._service, more)
        self._said = problems


def _order(item: _Item) -> tuple[str, str]:
    node, endpoint = item[:2]
    return node, endpoint.address if endpoint else ""


def _read(entry: Any) -> _Item:
    """Return the node, the endpoint or why there is none, and whether it is critical for want of a report."""
    entry = _object(entry)
    node, service = _object(entry.get("Node")), _object(entry.get("Service"))
    name, service_id = _text(node.get("Node")), _text(service.get("ID"))
    if not service_id:
        return name, None, f"an entry of node {name!r} has no service in it, and is skipped", False
    meta = {key: value for key, value in _object(service.get("Meta")).items() if isinstance(value, str)}
    host = _text(service.get("Address")) or _text(node.get("Address"))
    port = service.get("Port")
    if problem := _unusable(host, port):
        return name, None, f"instance {service_id[:80]!r} of node {name!r} is skipped: {problem}", False
    ours = meta.get(INSTANCE, "")
    tags = tuple(tag for tag in _list(service.get("Tags")) if isinstance(tag, str))
    protocol, secure = _protocol(meta, tags)
    checks = [_object(check) for check in _list(entry.get("Checks"))]
    endpoint = Endpoint(
        host=host,
        port=_integer(port),
        instance_id=ours or f"{service_id}:{name}",
        protocol=protocol,
        secure=secure,
        path=_path(meta.get("path", "")),
        weight=_weight(service.get("Weights")),
        tags=tags,
        metadata={key: value for key, value in meta.items() if not (ours and key in OWN_KEYS)},
        version=meta.get("version", "") or _version(tags),
        zone=meta.get("zone", "") or _text(_object(node.get("Meta")).get("zone")),
        datacenter=_text(node.get("Datacenter")),
        health=_health(checks),
    )
    return name, endpoint, "", endpoint.health is Health.CRITICAL and _is_unheard(checks)


def _unusable(host: str, port: Any) -> str:
    """Say why an address cannot be dialled, if so."""
    if not host or not is_host(host):
        return f"its address {host[:80]!r} is neither a host name nor an IP address"
    if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= 65_535:
        return f"its port {str(port)[:40]} is not between 1 and 65535"
    return "" if is_dialable(host) else f"its address {host} cannot be dialled"


def _is_unheard(checks: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether only TTL checks are critical, and by Consul's word, not by a report."""
    critical = [check for check in checks if check.get("Status") == "critical"]
    return all(c.get("Type") == "ttl" and c.get("Output") in {"", "TTL expired"} for c in critical)


def _health(checks: Sequence[Mapping[str, Any]]) -> Health:
    """Return the worst of all checks, of the node and of the service; maintenance is draining."""
    worst = Health.PASSING
    for check in checks:
        check_id = _text(check.get("CheckID"))
        if check_id == "_node_maintenance" or check_id.startswith("_service_maintenance:"):
            health = Health.DRAINING
        else:
            health = _STATUS.get(_text(check.get("Status")), Health.CRITICAL)
        worst = max(worst, health, key=_WORST_LAST.index)
    return worst


def _protocol(meta: Mapping[str, str], tags: Sequence[str]) -> tuple[Protocol, bool]:
    """Return what it speaks: what its metadata says, else its tags, else gRPC."""
    words = [meta.get("protocol", "").lower()] if meta.get("protocol") else [tag.lower() for tag in tags]
    protocol = Protocol.GRPC if "grpc" in words or not _HTTP_WORDS & set(words) else Protocol.HTTP
    secure = meta.get("secure", "").lower() == "true" or (protocol is Protocol.HTTP and "https" in words)
    return protocol, secure


def _version(tags: Sequence[str]) -> str:
    """Return the version of a tag such as ``version-1.4.2`` or ``version=1.4.2``."""
    for tag in tags:
        if tag.startswith(("version-", "version=")):
            return tag[len("version-") :]
    return ""


def _path(text: str) -> str:
    text = text.rstrip("/")
    return text if text.startswith("/") else ""


def _weight(weights: Any) -> int:
    return min(_MAX_WEIGHT, max(1, _integer(_object(weights).get("Passing"), 1)))


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _integer(value: Any, default: int = 0) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else default
