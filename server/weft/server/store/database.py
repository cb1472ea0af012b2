"""Which database several servers share, and how it is used: settings of the PostgreSQL adapter."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

__all__ = ["DatabaseConfig", "DatabaseUrlError"]

_SCHEMA: Final = re.compile(r"[a-z_][a-z0-9_]{0,39}")
_SCHEMES: Final = frozenset({"postgresql", "postgres"})
_FORM: Final = "postgresql://user:password@host:5432/database"
_ESCAPED: Final = "in a password @ is written %40, / is written %2F, ? is written %3F and # is written %23"
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^:\[\]]*)(:(?P<port>[0-9]{1,5}))?")


class DatabaseUrlError(ValueError):
    """Settings of the database that cannot be; the message does not tell the password.

    Attributes:
        faults: Everything that is wrong, each in one line.
    """

    def __init__(self, *faults: str) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseConfig:
    """How a server uses a database."""

    url: str
    """``postgresql://user:password@host:5432/database``, with the parameters of libpq such as
    ``?sslmode=verify-full``; several hosts are separated by commas."""
    schema: str = "weft"
    """Where the tables are; it is made when it is missing."""
    lease: timedelta = timedelta(seconds=6)
    """How long a server that is not heard of keeps its executions."""
    server: str = ""
    """What this server is called, for people."""
    readers: int = 4
    """The most connections that read."""
    workers: int = 4
    """The most connections that write one thing at a time, beside the one that writes in groups."""

    def __post_init__(self) -> None:
        """Check it.

        Raises:
            DatabaseUrlError: Every fault.
        """
        faults = [*self._faults()]
        if faults:
            raise DatabaseUrlError(*faults)

    def _faults(self) -> Iterator[str]:
        if fault := self._url_fault():
            yield f"database URL: {fault}; it is {_FORM}"
        if _SCHEMA.fullmatch(self.schema) is None or self.schema.startswith("pg_"):
            yield f"database schema: {self.schema[:80]!r} is not allowed: a-z, 0-9 and '_', at most 40"
        if not timedelta(milliseconds=300) <= self.lease <= timedelta(minutes=5):
            yield "lease: it is between 0.3 s and 5 min"

    def _url_fault(self) -> str:
        """Say what is wrong with it, in words of ours: those of the library quote what is in the password."""
        try:
            parts = self._parts
        except ValueError:
            return "it cannot be read"
        credentials, _, hosts = parts.netloc.rpartition("@")
        if parts.scheme not in _SCHEMES:
            return f"it begins with {parts.scheme or 'no scheme'!r}"
        possible = all(map(_is_host, hosts.split(",")))
        if "@" in f"{credentials}{parts.path}{parts.fragment}{'' if possible else parts.query}":
            return _ESCAPED
        if not possible:
            return "its host is no host:port"
        return "" if parts.path.strip("/") else "it names no database"

    @property
    def _parts(self) -> SplitResult:
        return urlsplit(self.url)

    @property
    def where(self) -> str:
        """Names it in messages: without user and password."""
        parts = self._parts
        place = parts.netloc.rpartition("@")[2] or "localhost"
        return f"{place}/{unquote(parts.path.strip('/'))}, schema {self.schema}"

    def hide(self, text: str) -> str:
        """Return a message of the driver without the password."""
        credentials = self._parts.netloc.rpartition("@")[0]
        password = credentials.partition(":")[2]
        for secret in {self.url, password, unquote(password)}:
            if secret:
                text = text.replace(secret, "***")
        return text


def _is_host(text: str) -> bool:
    found = _HOST.fullmatch(text)
    return found is not None and int(found["port"] or 0) <= 65_535
