"""Targets: how a caller writes which service it means, and where to look for it.

====================================  ============================================
``orders``                            the environment, else the default source
``consul://orders?tag=v1&dc=a,b``     Consul
``weft://orders?version=^1.2``        the embedded registry
``dns:///orders.internal:50051``      A and AAAA records; ``dns://10.0.0.2:53/…``
                                      asks that nameserver
``dns:///_grpc._tcp.orders.internal`` SRV records; or any name with ``?srv=true``
``static:///10.0.0.7:1,10.0.0.8:1``   these addresses; ``10.0.0.7:1`` means one
``env://orders``                      the environment only
====================================  ============================================
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final
from urllib.parse import quote, unquote

from weft.core.errors import ValidationError, Violation
from weft.core.names import SERVICE_PREFIX, check_name, did_you_mean, is_id
from weft.core.reasons import Rule
from weft.discovery.endpoint import is_host, parse_address, parse_endpoint
from weft.discovery.model import Endpoint

__all__ = ["SCHEMES", "Target", "parse_location", "parse_target"]

SCHEMES: Final = ("consul", "dns", "env", "static", "weft")
"""What a target may begin with."""

_MAX_LENGTH: Final = 2_048
_MAX_TEXT: Final = 128
_ENDPOINT_SCHEMES: Final = ("grpc", "http", "https")
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(?=//)")
_LOOKS_LIKE_ADDRESS: Final = re.compile(r".*:[0-9]+|\[.*")
_FREE_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?")
_DATACENTER: Final = re.compile(r"[A-Za-z0-9_-]{1,63}")
_SAFE: Final = "^~<>=*!,.:/@+ ()"
"""What stands in a query as it is, so that a range can be read."""

_FREE_NAME_WORDS: Final = (
    "it has letters, digits, '.', '_' and '-', at most 128 characters, and a letter or digit at both ends"
)
_UNSUPPORTED: Final = Rule.ENDPOINT_SCHEME_UNSUPPORTED
_AFTER_A_PATH: Final = frozenset({"dns", "static"})
_CONFIGURED: Final = {"consul": ": the agent is the one that CONSUL_HTTP_ADDR names"}

_OPTIONS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "": ("tag", "dc", "version", "zone"),
        "consul": ("tag", "dc", "version", "zone"),
        "weft": ("tag", "version", "zone"),
        "dns": ("srv",),
        "env": (),
        "static": (),
    }
)
"""Which options a scheme takes, in the order in which they are written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Which service is meant, where to look for it, and which of its instances will do."""

    scheme: str = ""
    """One of ``SCHEMES``; empty for a bare name: the environment first, then the default source."""
    authority: str = ""
    """Whom to ask: the nameserver of ``dns``, the server of ``weft``; empty for the configured one."""
    name: str
    """The service as its source knows it: a name, ``host:port``, an SRV name, or addresses."""
    tags: tuple[str, ...] = ()
    """An instance must have all of them."""
    version: str = ""
    """Range of versions an instance must be in, as text; empty for any."""
    datacenters: tuple[str, ...] = ()
    """Where to look, in order of preference; empty for the source's own."""
    options: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Every other option: ``zone`` and ``srv``."""

    @property
    def zone(self) -> str:
        """The zone whose instances are preferred; empty for none."""
        return self.options.get("zone", "")

    @property
    def srv(self) -> bool:
        """Whether the name is one of SRV records."""
        return self.options.get("srv") == "true"

    def __str__(self) -> str:
        """Write it so that ``parse_target`` reads the same."""
        slash = "/" if self.authority or self.scheme in {"dns", "static"} else ""
        start = f"{self.scheme}://{self.authority}{slash}" if self.scheme else ""
        query = "&".join(f"{key}={quote(value, safe=_SAFE)}" for key, value in self._written())
        return f"{start}{self.name}" + (f"?{query}" if query else "")

    def _written(self) -> list[tuple[str, str]]:
        pairs = [("tag", tag) for tag in self.tags]
        if self.datacenters:
            pairs.append(("dc", ",".join(self.datacenters)))
        if self.version:
            pairs.append(("version", self.version))
        return [*pairs, *sorted(self.options.items())]


def parse_target(text: str, field: str = "target") -> Target:
    """Read a target.

    Args:
        text: Such as ``orders``, ``consul://orders?tag=v1``, ``dns:///orders.internal:50051``.
        field: What faults are reported under.

    Raises:
        ValidationError: Every fault of it.
    """
    return _Reader(text, field).read()


def parse_location(url: str, field: str = "endpoint") -> Endpoint | Target:
    """Read where a registered service is: one address, or where to look for its instances.

    Args:
        url: ``grpc://host:port``, ``http[s]://host[:port][/path]``, ``consul://name`` or ``dns://…``.
        field: What faults are reported under.

    Raises:
        ValidationError: Another scheme, or a fault of the URL.
    """
    found = _SCHEME.match(url)
    scheme = found[1].lower() if found else ""
    if scheme in {"consul", "dns"}:
        return parse_target(url, field)
    if scheme in _ENDPOINT_SCHEMES:
        return parse_endpoint(url, field)
    description = (
        f"scheme {scheme[:40]!r} is not supported; use grpc://, http://, https://, consul:// or dns://"
    )
    raise ValidationError([Violation(field, description, Rule.ENDPOINT_SCHEME_UNSUPPORTED)])


def _is_srv_name(name: str) -> bool:
    return name.startswith("_") and ":" not in name


class _Reader:
    """Reads one target and collects its faults."""

    def __init__(self, text: str, field: str) -> None:
        self._text = text
        self._field = field
        self._faults: list[Violation] = []

    def read(self) -> Target:
        if len(self._text) > _MAX_LENGTH:
            self._fault(f"is longer than {_MAX_LENGTH:,} characters", Rule.TOO_LONG)
            raise ValidationError(self._faults)
        rest, _, query = self._text.partition("?")
        scheme, authority, name = self._split(rest)
        values = self._options(scheme, query)
        srv = values.pop("srv", None) or [str(scheme == "dns" and _is_srv_name(name)).lower()]
        self._check(scheme, authority, name, srv=srv == ["true"])
        if self._faults:
            raise ValidationError(self._faults)
        options = {"zone": "".join(values.get("zone", ())), "srv": "true" if srv == ["true"] else ""}
        return Target(
            scheme=scheme,
            authority=authority,
            name=name,
            tags=tuple(values.get("tag", ())),
            version="".join(values.get("version", ())),
            datacenters=tuple(values.get("dc", ())),
            options={key: value for key, value in options.items() if value},
        )

    def _split(self, rest: str) -> tuple[str, str, str]:
        """Return scheme, authority and name."""
        found = _SCHEME.match(rest)
        if found is None:
            return ("static" if _LOOKS_LIKE_ADDRESS.fullmatch(rest) else ""), "", rest
        scheme, body = found[1].lower(), rest[found.end() + 2 :]
        if scheme in _ENDPOINT_SCHEMES:
            self._fault(f"{scheme}:// is an endpoint; as a target write its host:port", _UNSUPPORTED)
        elif scheme not in SCHEMES:
            hint = did_you_mean(scheme, SCHEMES) or "use " + ", ".join(f"{known}://" for known in SCHEMES)
            self._fault(f"scheme {scheme[:40]!r} is not known; {hint}", _UNSUPPORTED)
        authority, slash, name = body.partition("/")
        if slash:
            return scheme, authority, name
        if scheme in _AFTER_A_PATH:
            self._fault(f"has two slashes where three belong: write {scheme}:///{body[:80]}")
        return scheme, "", body

    def _options(self, scheme: str, query: str) -> dict[str, list[str]]:
        allowed = _OPTIONS.get(scheme)
        values: dict[str, list[str]] = {}
        for part in query.split("&") if query else ():
            key, _, written = part.partition("=")
            if allowed is None:
                continue
            if key not in allowed:
                self._fault(_no_option(scheme, key, allowed))
            elif key in values and key != "tag":
                self._fault(f"option {key!r} stands there twice", Rule.DUPLICATE)
            else:
                self._values(key, unquote(written), values.setdefault(key, []))
        return values

    def _values(self, key: str, written: str, values: list[str]) -> None:
        for value in written.split(",") if key == "dc" else [written]:
            if not value:
                self._fault(f"option {key!r} is empty", Rule.REQUIRED)
            elif len(value) > _MAX_TEXT:
                self._fault(f"option {key!r} is longer than {_MAX_TEXT} characters", Rule.TOO_LONG)
            elif value in values:
                self._fault(f"{key} {value!r} stands there twice", Rule.DUPLICATE)
            elif problem := _problem_of(key, value):
                self._fault(problem)
            values.append(value)

    def _check(self, scheme: str, authority: str, name: str, *, srv: bool) -> None:
        """Check whom to ask, and the name, by the rules of the scheme."""
        if authority:
            self._check_authority(scheme, authority)
        if scheme in _OPTIONS and not name:
            self._fault("names no service", Rule.REQUIRED)
        elif scheme == "dns":
            self._check_dns_name(name, srv=srv)
        elif scheme == "static":
            self._check_addresses(name.split(","))
        elif scheme == "weft":
            if not is_id(name, SERVICE_PREFIX):
                self._faults.extend(check_name(self._field, name))
        elif scheme in _OPTIONS and _FREE_NAME.fullmatch(name) is None:
            self._fault(f"{name[:80]!r} is no name of a service: {_FREE_NAME_WORDS}")

    def _check_authority(self, scheme: str, authority: str) -> None:
        if scheme == "dns" and is_host(authority):
            return
        if scheme in {"dns", "weft"}:
            self._read_address(authority)
        elif scheme in _OPTIONS:
            whom = _CONFIGURED.get(scheme, "")
            self._fault(f"{scheme}:// has nobody to ask in it, such as {authority[:80]!r}{whom}")

    def _check_dns_name(self, name: str, *, srv: bool) -> None:
        if not srv:
            self._read_address(name)
        elif not is_host(name):
            self._fault(f"{name[:80]!r} is no name of SRV records, which tell the port themselves")

    def _check_addresses(self, addresses: list[str]) -> None:
        for number, address in enumerate(addresses):
            self._read_address(address)
            if address in addresses[:number]:
                self._fault(f"{address[:80]!r} stands there twice", Rule.DUPLICATE)

    def _read_address(self, text: str) -> None:
        try:
            parse_address(text, self._field)
        except ValidationError as error:
            self._faults.extend(error.violations)

    def _fault(self, description: str, rule: Rule = Rule.INVALID) -> None:
        self._faults.append(Violation(self._field, description, rule))


def _no_option(scheme: str, key: str, allowed: tuple[str, ...]) -> str:
    where = f"{scheme}://" if scheme else "a bare name"
    if not allowed:
        return f"{where} takes no options, such as {key[:40]!r}"
    hint = did_you_mean(key, allowed) or f"it takes {', '.join(allowed)}"
    return f"{where} has no option {key[:40]!r}; {hint}"


def _problem_of(key: str, value: str) -> str:
    if not value.isprintable():
        return f"option {key!r} has a character that cannot be printed"
    if key == "dc" and _DATACENTER.fullmatch(value) is None:
        return f"{value!r} is no name of a datacenter: letters, digits, '-' and '_'"
    if key == "srv" and value not in {"true", "false"}:
        return f"option 'srv' is true or false, not {value!r}"
    return ""
