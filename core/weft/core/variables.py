"""Variables of the environment: which of Weft's own there are, and which are written wrong."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

__all__ = ["VARIABLES", "misspelt"]

VARIABLES: Final = (
    "WEFT_ADVERTISE",
    "WEFT_CONSUL_CONNECTIONS",
    "WEFT_CONSUL_DATACENTER",
    "WEFT_CONSUL_DEREGISTER_AFTER",
    "WEFT_CONSUL_PREFIX",
    "WEFT_CONSUL_TTL",
    "WEFT_DATABASE_SCHEMA",
    "WEFT_DATABASE_URL",
    "WEFT_DATA_DIR",
    "WEFT_DEFAULT_SOURCE",
    "WEFT_DRAIN_SECONDS",
    "WEFT_ENVIRONMENT",
    "WEFT_LEASE_SECONDS",
    "WEFT_LISTEN",
    "WEFT_LOG_FORMAT",
    "WEFT_LOG_LEVEL",
    "WEFT_MESH_POLICY",
    "WEFT_NAMESERVER",
    "WEFT_RETENTION",
    "WEFT_TARGET",
    "WEFT_ZONE",
)
"""Those that any part of Weft reads."""

_PREFIX: Final = "WEFT_"
_LIKENESS: Final = 0.85


def misspelt(environ: Iterable[str]) -> list[str]:
    """Return a sentence for each variable that nobody reads, and that looks like one that is read.

    Others that begin with ``WEFT_`` may be anybody's: a platform makes some of its own for a
    service of that name.

    Args:
        environ: Names of variables.
    """
    return [
        f"{name} is no variable of Weft; did you mean {meant}?"
        for name in sorted(environ)
        if name.startswith(_PREFIX) and name not in VARIABLES and (meant := _meant(name))
    ]


def _meant(name: str) -> str:
    import difflib  # noqa: PLC0415 - only where something is wrong

    if found := difflib.get_close_matches(name, VARIABLES, n=1, cutoff=_LIKENESS):
        return found[0]
    rest = name.removeprefix(_PREFIX)
    parts = [it for it in VARIABLES if it.startswith(name) or it.endswith(f"_{rest}")]
    return parts[0] if rest and len(parts) == 1 else ""
