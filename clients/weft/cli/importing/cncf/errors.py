"""Errors and retries of Serverless Workflow: reasons and policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from weft.cli.importing.cncf.durations import as_text, seconds_of
from weft.cli.importing.naming import reason
from weft.cli.importing.notes import Notes

__all__ = ["reasons_of", "retry_of"]

_STANDARD: Final[Mapping[str, tuple[str, ...]]] = {
    "configuration": ("CONFIGURATION",),
    "validation": ("VALIDATION_FAILED", "VALIDATION"),
    "expression": ("EXPRESSION_FAILED", "EXPRESSION"),
    "authentication": ("UNAUTHENTICATED", "AUTHENTICATION"),
    "authorization": ("PERMISSION_DENIED", "AUTHORIZATION"),
    "timeout": ("ACTION_TIMEOUT", "HEARTBEAT_TIMEOUT", "SIGNAL_TIMEOUT", "DEADLINE_EXCEEDED", "TIMEOUT"),
    "communication": (
        "UNAVAILABLE",
        "ACTION_UNAVAILABLE",
        "NO_INSTANCE",
        "DEADLINE_EXCEEDED",
        "COMMUNICATION",
    ),
    "runtime": ("INTERNAL", "RUNTIME"),
}
_DAY: Final = 86_400.0


def reasons_of(filters: Any, path: str, notes: Notes) -> list[str]:
    """Return the reasons that a filter of errors takes; empty: all."""
    wanted = filters.get("with") if isinstance(filters, dict) else None
    if not isinstance(wanted, dict):
        return []
    for name in wanted:
        if name != "type":
            notes.lost(
                f"{path}.with.{name}", "errors are told apart by their reason, which their type becomes"
            )
    kind = wanted.get("type")
    if not isinstance(kind, str):
        return []
    last = kind.rstrip("/").rpartition("/")[2]
    standard = "/" not in kind or "serverlessworkflow.io" in kind
    return list(_STANDARD[last]) if standard and last in _STANDARD else [reason(last)]


def retry_of(given: Any, defined: Mapping[str, Any], path: str, notes: Notes) -> dict[str, Any]:
    """Return the policy of a retry, which may be one that is defined once."""
    retry = defined.get(given) if isinstance(given, str) else given
    if not isinstance(retry, dict):
        notes.lost(path, "is not defined")
        return {}
    for name in retry:
        if name not in {"delay", "backoff", "limit", "jitter"}:
            notes.lost(f"{path}.{name}", "whether a failure is tried again is told by its status code")
    pause = _positive(seconds_of(retry.get("delay")), 1.0)
    policy: dict[str, Any] = {
        "max_attempts": _attempts(retry.get("limit"), path, notes),
        "initial_backoff": as_text(min(pause, _DAY)),
        "multiplier": _multiplier(retry.get("backoff"), path, notes),
        "max_backoff": as_text(_DAY if policy_grows(retry) else min(max(pause, 1.0), _DAY)),
        "jitter": 0.0,
        "on_exhausted": "fail",
    }
    if "jitter" in retry:
        policy["jitter"] = _jitter(retry["jitter"], pause)
    return policy


def policy_grows(retry: Mapping[str, Any]) -> bool:
    """Tell whether pauses get longer."""
    backoff = retry.get("backoff")
    return isinstance(backoff, dict) and "constant" not in backoff


def _positive(seconds: float | None, default: float) -> float:
    return seconds if seconds is not None and seconds > 0 else default


def _attempts(limit: Any, path: str, notes: Notes) -> int:
    """The first attempt counts in Weft, and not in ``count``, which says how often it is tried again."""
    values = limit if isinstance(limit, dict) else {}
    if "duration" in values:
        notes.lost(f"{path}.limit.duration", "say it as schedule_to_close_timeout of the steps")
    attempt = values.get("attempt")
    count = attempt.get("count") if isinstance(attempt, dict) else None
    if isinstance(attempt, dict) and "duration" in attempt:
        notes.lost(f"{path}.limit.attempt.duration", "say it as timeout of the steps")
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        return -1
    return min(count, 1_000_000) + 1


def _multiplier(backoff: Any, path: str, notes: Notes) -> int:
    if not isinstance(backoff, dict) or "constant" in backoff:
        return 1
    if "linear" in backoff:
        notes.check(f"{path}.backoff.linear", "pauses grow by a factor in Weft: they are doubled")
    return 2


def _jitter(jitter: Any, pause: float) -> float:
    most = seconds_of(jitter.get("to")) if isinstance(jitter, dict) else None
    return round(min(_positive(most, 0.0) / pause, 1.0), 2)
