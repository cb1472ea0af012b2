"""What steps say besides, in fewer words than records need."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from weft.client._flow import END, Draft, Target, span, target
from weft.client._writing.fields import DurationLike
from weft.client.records import Compensation, ErrorHandler, Step, StepCache, StepLimit, StepRetry

__all__ = ["cached", "limited", "on_error", "ref", "undo"]

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def ref(of: str | Draft | Step, *members: str | int) -> str:
    """Return the expression of a member: of ``input``, ``vars``, ``item``, …, or of what a step gave."""
    found = of if isinstance(of, str) else f"steps{_member(of.id)}"
    return f"${{{found}{''.join(map(_member, members))}}}"


def _member(name: str | int) -> str:
    if isinstance(name, int):
        return f"[{name}]"
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f".{name}" if _NAME.fullmatch(name) else f'["{escaped}"]'


def on_error(*reasons: str, then: Target = END, kind: str = "") -> ErrorHandler:
    """Go on with a step after some failures; without reasons, after all."""
    return ErrorHandler(reasons=reasons, kind=kind, next=target(then))


def undo(
    action: str,
    *,
    service: str = "",
    input: Mapping[str, Any] | None = None,  # noqa: A002 - the word of the contract
    retry: StepRetry | None = None,
    timeout: DurationLike | None = None,
) -> Compensation:
    """Undo a step by an action, of its own service when none is named."""
    limit = None if timeout is None else span(timeout)
    return Compensation(action=action, service=service, input=input, retry=retry, timeout=limit)


def cached(ttl: DurationLike, key: str = "") -> StepCache:
    """Take what a call of the same key, or the same input, gave a short time ago."""
    return StepCache(ttl=span(ttl), key=key)


def limited(
    *, concurrency: int = 0, rate: int = 0, per: DurationLike | None = None, key: str = ""
) -> StepLimit:
    """Bound how many calls run at the same time, and how many are begun in each ``per`` (1 s)."""
    return StepLimit(key=key, concurrency=concurrency, rate=rate, per=None if per is None else span(per))
