"""Where Consul is, and how it is spoken to."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from weft.core.errors import ValidationError, Violation
from weft.core.reasons import Rule
from weft.discovery.endpoint import parse_address

__all__ = ["ConsulConfig"]

_PREFIX: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}")
_DATACENTER: Final = re.compile(r"[A-Za-z0-9_-]{1,63}")
_MINUTE: Final = timedelta(minutes=1)

_RANGES: Final = {
    "ttl": (timedelta(seconds=1), timedelta(minutes=10)),
    "deregister_after": (_MINUTE, timedelta(days=30)),
    "wait": (timedelta(seconds=1), 10 * _MINUTE),
    "rotation": (timedelta(seconds=1), 10 * _MINUTE),
    "request_timeout": (timedelta(milliseconds=100), _MINUTE),
}
"""The least and the most of each duration: what Consul allows, where it has a rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsulConfig:
    """How to reach a Consul agent, and what to ask of it.

    Raises:
        ValidationError: Every value that is not allowed.
    """

    address: str = "127.0.0.1:8500"
    """``host:port`` of the agent's HTTP interface."""
    secure: bool = False
    """Whether to speak TLS to it."""
    ca_file: str = ""
    """Certificates of the authorities to trust; empty for the system's own."""
    client_cert: str = ""
    """Our certificate, for an agent that asks for one."""
    client_key: str = ""
    """Its private key; empty when the file of the certificate has it."""
    verify: bool = True
    """Whether the agent's certificate is checked."""
    server_name: str = ""
    """Name that the agent's certificate must have; empty for the host of the address."""
    token: str = field(default="", repr=False)
    """ACL token of every request."""
    datacenter: str = ""
    """Where services are looked up by default; empty for the agent's own datacenter."""
    prefix: str = ""
    """Put before every name of a service, on registration and on look-up."""
    ttl: timedelta = timedelta(seconds=10)
    """How long an instance counts as alive without a heartbeat; 1 s to 10 min."""
    deregister_after: timedelta = timedelta(minutes=5)
    """After which time in a critical state Consul removes an instance; at least 1 min."""
    wait: timedelta = timedelta(seconds=55)
    """How long Consul may hold a blocking query in which nothing changes; at most 10 min."""
    connections: int = 150
    """The most connections to the agent; it allows 200 to one client address by default. At least 20."""
    rotation: timedelta = timedelta(seconds=10)
    """In which time each watch has its turn, when they are more than the connections."""
    request_timeout: timedelta = timedelta(seconds=5)
    """How long one answer may take, beyond what a blocking query waits on purpose."""
    max_answer: int = 32 * 1024 * 1024
    """Bytes of the largest answer that is read."""

    def __post_init__(self) -> None:
        faults = [*self._address_faults(), *self._text_faults(), *self._limit_faults()]
        if faults:
            raise ValidationError(faults)

    @property
    def host(self) -> str:
        """Host name or IP address of the agent."""
        return parse_address(self.address)[0]

    @property
    def port(self) -> int:
        """Port of the agent."""
        return parse_address(self.address)[1]

    @property
    def url(self) -> str:
        """Scheme and address, for messages."""
        return f"{'https' if self.secure else 'http'}://{self.address}"

    def tls(self) -> ssl.SSLContext | None:
        """Read the certificates; none without TLS.

        Raises:
            ValidationError: A file is missing, or is no certificate or key.
        """
        if not self.secure:
            return None
        context = ssl.create_default_context()
        faults: list[Violation] = []
        try:
            if self.ca_file:
                context = ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as error:
            faults.append(_unreadable("ca_file", self.ca_file, error))
        try:
            if self.client_cert:
                context.load_cert_chain(self.client_cert, self.client_key or None, password=_no_password)
        except (OSError, ssl.SSLError, ValueError) as error:
            faults.append(_unreadable("client_cert", self.client_cert, error))
        if faults:
            raise ValidationError(faults)
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def _address_faults(self) -> list[Violation]:
        try:
            parse_address(self.address, "address")
        except ValidationError as error:
            return list(error.violations)
        return []

    def _text_faults(self) -> list[Violation]:
        faults = []
        if self.prefix and _PREFIX.fullmatch(self.prefix) is None:
            words = "a prefix has letters, digits and '-', at most 63, and starts with a letter or digit"
            faults.append(Violation("prefix", f"{self.prefix[:80]!r} is not allowed: {words}", Rule.INVALID))
        if self.datacenter and _DATACENTER.fullmatch(self.datacenter) is None:
            words = "a datacenter has letters, digits, '-' and '_', at most 63"
            faults.append(
                Violation("datacenter", f"{self.datacenter[:80]!r} is not allowed: {words}", Rule.INVALID)
            )
        if not (self.token.isascii() and self.token.isprintable()) or " " in self.token:
            words = "has a character that cannot stand in a header (the value is not shown)"
            faults.append(Violation("token", words, Rule.INVALID))
        if self.client_key and not self.client_cert:
            faults.append(Violation("client_cert", "is required with a client key", Rule.REQUIRED))
        return faults

    def _limit_faults(self) -> list[Violation]:
        faults = [
            Violation(
                name, f"{_shown(value)} is not between {_shown(least)} and {_shown(most)}", Rule.OUT_OF_RANGE
            )
            for name, (least, most) in _RANGES.items()
            if not least <= (value := getattr(self, name)) <= most
        ]
        if self.connections < 20:
            faults.append(Violation("connections", f"{self.connections} is less than 20", Rule.OUT_OF_RANGE))
        if self.max_answer < 1:
            faults.append(Violation("max_answer", f"{self.max_answer} is less than 1", Rule.OUT_OF_RANGE))
        return faults


def _no_password() -> str:
    raise ValueError("the private key is encrypted, which is not supported")


def _unreadable(name: str, path: str, error: Exception) -> Violation:
    reason = getattr(error, "strerror", None) or str(error)
    return Violation(name, f"{path!r} cannot be read: {reason}", Rule.INVALID)


def _shown(value: timedelta | int) -> str:
    return f"{value.total_seconds():.10g} s" if isinstance(value, timedelta) else str(value)
