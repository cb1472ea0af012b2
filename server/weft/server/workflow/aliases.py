"""Names of versions: which version an execution gets that is started by one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Final

from weft.api.workflow.v1 import workflow_pb2 as pb
from weft.core.errors import ResourceNotFoundError, ValidationError, Violation
from weft.core.names import closest
from weft.core.reasons import Reason, Rule
from weft.server.requests import Faults
from weft.server.workflow.model import Share, Workflow

__all__ = [
    "LATEST",
    "MAX_ALIASES",
    "alias_from_proto",
    "aliases_to_proto",
    "check_alias",
    "choose_version",
    "with_alias",
    "without_alias",
]

LATEST: Final = "latest"
"""The alias that always is: the newest version."""
MAX_ALIASES: Final = 32

_ALIAS: Final = re.compile(r"[a-z][a-z0-9-]{0,62}")
_WORDS: Final = (
    "an alias has lower-case letters, digits and '-', at most 63 characters, and starts with a letter"
)
_MAX_SHARES: Final = 10
_ALL: Final = 100


def check_alias(field: str, name: str, faults: Faults) -> None:
    """Note what is wrong with the name of an alias."""
    if not name:
        faults.required(field, name)
    elif _ALIAS.fullmatch(name) is None:
        faults.add(field, f"{name[:80]!r} is no alias: {_WORDS}")


def alias_from_proto(message: pb.WorkflowAlias, faults: Faults) -> tuple[str, tuple[Share, ...]]:
    """Read an alias that is to be set: its name, and its shares by version."""
    check_alias("alias.name", message.name, faults)
    if message.name == LATEST:
        faults.add("alias.name", "'latest' is always the newest version and cannot be set")
    faults.required("alias.shares", message.shares)
    faults.count("alias.shares", message.shares, _MAX_SHARES)
    shares = [
        _share(share, number, len(message.shares), faults) for number, share in enumerate(message.shares)
    ]
    _check_whole(shares, faults)
    return message.name, tuple(sorted(shares, key=lambda share: share.version))


def _share(message: pb.VersionShare, number: int, count: int, faults: Faults) -> Share:
    where = f"alias.shares[{number}]"
    if message.version < 1:
        faults.add(f"{where}.version", "must be at least 1", Rule.OUT_OF_RANGE)
    percent = message.percent or (_ALL if count == 1 else 0)
    if not 1 <= percent <= _ALL:
        faults.add(f"{where}.percent", "must be between 1 and 100", Rule.OUT_OF_RANGE)
    return Share(version=message.version, percent=percent)


def _check_whole(shares: Sequence[Share], faults: Faults) -> None:
    total = sum(share.percent for share in shares)
    if shares and total != _ALL:
        faults.add("alias.shares", f"the percentages add up to {total}, not to 100")
    if len({share.version for share in shares}) < len(shares):
        faults.add("alias.shares", "names a version twice", Rule.DUPLICATE)


def aliases_to_proto(aliases: Mapping[str, tuple[Share, ...]]) -> list[pb.WorkflowAlias]:
    """Show aliases, by name."""
    return [
        pb.WorkflowAlias(
            name=name,
            shares=[pb.VersionShare(version=share.version, percent=share.percent) for share in shares],
        )
        for name, shares in sorted(aliases.items())
    ]


def with_alias(workflow: Workflow, name: str, shares: tuple[Share, ...]) -> dict[str, tuple[Share, ...]]:
    """Return the aliases of a workflow, in its latest version, with one more or another.

    Raises:
        ResourceNotFoundError: WORKFLOW_VERSION_NOT_FOUND.
        ValidationError: There are too many.
    """
    for share in shares:
        if share.version > workflow.version:
            raise ResourceNotFoundError(
                "workflow version",
                f"{workflow.name}@{share.version}",
                reason=Reason.WORKFLOW_VERSION_NOT_FOUND,
            )
    aliases = {**workflow.aliases, name: shares}
    if len(aliases) > MAX_ALIASES:
        text = f"workflow {workflow.name!r} has {MAX_ALIASES} aliases, more are not allowed"
        raise ValidationError([Violation("alias.name", text, Rule.TOO_MANY)])
    return dict(sorted(aliases.items()))


def without_alias(workflow: Workflow, name: str) -> dict[str, tuple[Share, ...]]:
    """Return the aliases of a workflow without one of them.

    Raises:
        ResourceNotFoundError: WORKFLOW_ALIAS_NOT_FOUND.
    """
    if name not in workflow.aliases:
        raise _unknown(workflow, name)
    return {known: shares for known, shares in workflow.aliases.items() if known != name}


def choose_version(workflow: Workflow, alias: str, seed: str) -> int:
    """Return which version of a workflow an alias stands for; 0: the latest.

    The same seed gets the same version, as long as the alias is the same. When a version is given more, who
    had it keeps it.

    Args:
        workflow: In any version.
        alias: Its name.
        seed: What decides among several versions.

    Raises:
        ResourceNotFoundError: WORKFLOW_ALIAS_NOT_FOUND.
    """
    if alias == LATEST:
        return 0
    shares = workflow.aliases.get(alias)
    if shares is None:
        raise _unknown(workflow, alias)
    place = _place(workflow.id, alias, seed)
    for share in shares[:-1]:
        if place < share.percent:
            return share.version
        place -= share.percent
    return shares[-1].version


def _place(*parts: str) -> int:
    """Return a number from 0 to 99, evenly spread."""
    digest = hashlib.sha256("\0".join(parts).encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:8]) % _ALL


def _unknown(workflow: Workflow, alias: str) -> ResourceNotFoundError:
    hint = closest(alias, [LATEST, *workflow.aliases])
    return ResourceNotFoundError(
        "workflow alias",
        f"{workflow.name}@{alias}",
        message=f"workflow {workflow.name!r} has no alias {alias!r}; {hint}",
        reason=Reason.WORKFLOW_ALIAS_NOT_FOUND,
    )
