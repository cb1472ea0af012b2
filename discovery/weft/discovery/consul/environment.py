"""The settings of Consul's own tools, and ours, read from an environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from weft.core.errors import ValidationError, Violation
from weft.core.reasons import Rule
from weft.discovery.consul.config import ConsulConfig

__all__ = ["consul_config"]

_TRUE: Final = frozenset({"1", "t", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "f", "false", "no", "off"})
_DURATION: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|m|h)", re.ASCII)
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_MAX_TOKEN_FILE: Final = 4096

_TEXTS: Final = {
    "ca_file": ("CONSUL_CACERT",),
    "client_cert": ("CONSUL_CLIENT_CERT",),
    "client_key": ("CONSUL_CLIENT_KEY",),
    "server_name": ("CONSUL_TLS_SERVER_NAME",),
    "token": ("CONSUL_HTTP_TOKEN",),
    "datacenter": ("WEFT_CONSUL_DATACENTER", "CONSUL_DATACENTER"),
    "prefix": ("WEFT_CONSUL_PREFIX",),
}
_DURATIONS: Final = {"ttl": "WEFT_CONSUL_TTL", "deregister_after": "WEFT_CONSUL_DEREGISTER_AFTER"}


def consul_config(environ: Mapping[str, str]) -> ConsulConfig | None:
    """Read how to reach Consul.

    Args:
        environ: Such as ``os.environ``.

    Returns:
        None when ``CONSUL_HTTP_ADDR`` is not set.

    Raises:
        ValidationError: Every variable with a wrong value, by its name.
    """
    if not environ.get("CONSUL_HTTP_ADDR"):
        return None
    return _Reader(environ).read()


class _Reader:
    """Reads the variables and collects what is wrong with them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._faults: list[Violation] = []
        self._names = {"address": "CONSUL_HTTP_ADDR", "connections": "WEFT_CONSUL_CONNECTIONS"}
        """The variable that a field came from."""

    def read(self) -> ConsulConfig:
        values: dict[str, Any] = self._address()
        values["verify"] = self._flag("CONSUL_HTTP_SSL_VERIFY", default=True)
        for name, variables in _TEXTS.items():
            self._text(name, variables, values)
        for name, variable in _DURATIONS.items():
            self._duration(name, variable, values)
        if path := self._environ.get("CONSUL_HTTP_TOKEN_FILE"):
            self._names["token"] = "CONSUL_HTTP_TOKEN_FILE"  # noqa: S105 - no password
            values["token"] = self._token_file(path)
        if number := self._environ.get("WEFT_CONSUL_CONNECTIONS"):
            values["connections"] = self._number("WEFT_CONSUL_CONNECTIONS", number)
        return self._config(values)

    def _config(self, values: dict[str, Any]) -> ConsulConfig:
        config = None
        try:
            config = ConsulConfig(**values)
            config.tls()
        except ValidationError as error:
            self._faults += [
                Violation(self._names.get(fault.field, fault.field), fault.description, fault.reason)
                for fault in error.violations
            ]
        if self._faults or config is None:
            raise ValidationError(self._faults)
        return config

    def _address(self) -> dict[str, Any]:
        """Read ``host:port`` or ``http[s]://host[:port]``; TLS holds if either variable asks for it."""
        secure = self._flag("CONSUL_HTTP_SSL", default=False)
        text = self._environ["CONSUL_HTTP_ADDR"].strip()
        scheme, mark, rest = text.partition("://")
        if not mark:
            scheme, rest = "http", text
        if scheme.lower() == "unix" or text.startswith("/"):
            self._fault("CONSUL_HTTP_ADDR", "unix sockets are not supported; give the agent's host:port")
            return {"secure": secure}
        if scheme.lower() not in {"http", "https"}:
            self._fault("CONSUL_HTTP_ADDR", f"scheme {scheme[:40]!r} is not supported; use http or https")
            return {"secure": secure}
        if "@" in rest:
            self._fault("CONSUL_HTTP_ADDR", "must not have credentials; a token stands in CONSUL_HTTP_TOKEN")
            return {"secure": secure}
        secure = secure or scheme.lower() == "https"
        rest = rest.removesuffix("/")
        if mark and not re.search(r":[0-9]+$", rest):
            rest += ":8501" if secure else ":8500"
        return {"address": rest, "secure": secure}

    def _text(self, name: str, variables: tuple[str, ...], values: dict[str, Any]) -> None:
        for variable in variables:
            if value := self._environ.get(variable):
                values[name] = value
                self._names[name] = variable
                return
        self._names[name] = variables[0]

    def _flag(self, variable: str, *, default: bool) -> bool:
        text = self._environ.get(variable, "").strip().lower()
        if text and text not in _TRUE | _FALSE:
            self._fault(variable, f"{text[:40]!r} is neither true nor false")
        return text in _TRUE if text else default

    def _duration(self, name: str, variable: str, values: dict[str, Any]) -> None:
        self._names[name] = variable
        if not (text := self._environ.get(variable, "").strip()):
            return
        if found := _DURATION.fullmatch(text):
            values[name] = timedelta(seconds=float(found[1]) * _UNITS[found[2]])
        else:
            self._fault(variable, f"{text[:40]!r} is no duration, such as 10s or 5m")

    def _number(self, variable: str, text: str) -> int:
        if text.isascii() and text.isdecimal() and len(text) < 10:
            return int(text)
        self._fault(variable, f"{text[:40]!r} is no number")
        return 150

    def _token_file(self, path: str) -> str:
        try:
            with Path(path).open("rb") as file:
                return file.read(_MAX_TOKEN_FILE).decode().strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "is no text"
            self._fault("CONSUL_HTTP_TOKEN_FILE", f"{path!r} cannot be read: {reason}")
            return ""

    def _fault(self, variable: str, description: str) -> None:
        self._faults.append(Violation(variable, description, Rule.INVALID))
