"""Retry and Catch of the States Language: errors, reasons and policies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from weft.cli.importing.naming import reason

__all__ = ["ALL", "caught", "retry_policy"]

Report = Callable[[str, str], None]

ALL: Final = frozenset(["States.ALL", "States.TaskFailed"])
_REASONS: Final[dict[str, tuple[str, ...]]] = {
    "States.Timeout": ("ACTION_TIMEOUT", "HEARTBEAT_TIMEOUT", "DEADLINE_EXCEEDED"),
    "States.HeartbeatTimeout": ("HEARTBEAT_TIMEOUT",),
    "States.Runtime": ("EXPRESSION_FAILED", "VALIDATION_FAILED"),
    "States.ParameterPathFailure": ("EXPRESSION_FAILED",),
    "States.ResultPathMatchFailure": ("EXPRESSION_FAILED",),
    "States.QueryEvaluationError": ("EXPRESSION_FAILED",),
    "States.IntrinsicFailure": ("EXPRESSION_FAILED",),
    "States.NoChoiceMatched": ("NO_CASE",),
    "States.DataLimitExceeded": ("ACTION_OUTPUT_TOO_LARGE", "MESSAGE_TOO_LARGE"),
    "States.Permissions": ("PERMISSION_DENIED",),
}
_MAX_BACKOFF: Final = 86_400


def caught(names: Any, path: str, report: Report) -> list[str]:
    """Return the reasons that errors of these names have in Weft; empty: all."""
    listed = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
    if not listed:
        report(path, "names no error: nothing is caught")
        return ["NOTHING"]
    if "States.ALL" in listed:
        return []
    if "States.TaskFailed" in listed:
        report(path, "States.TaskFailed does not take timeouts; here it takes them as well")
        return []
    reasons: dict[str, None] = {}
    for name in listed:
        known = _REASONS.get(name)
        if known is None:
            known = (reason(name),)
            report(path, f"the error {name!r} becomes the reason {known[0]}: what fails has to give it")
        reasons.update(dict.fromkeys(known))
    return list(reasons)


def retry_policy(retriers: list[dict[str, Any]], path: str, lost: Report, check: Report) -> dict[str, Any]:
    """Return one policy for a list of retriers: the widest; what the others say is lost."""
    never = [each for each in retriers if each.get("MaxAttempts") == 0]
    tried = [each for each in retriers if each.get("MaxAttempts") != 0]
    if not tried:
        return {}
    chosen = next((each for each in tried if _all(each)), tried[0])
    where = f"{path}[{retriers.index(chosen)}]"
    for index, each in enumerate(retriers):
        if each is not chosen and each in tried:
            lost(
                f"{path}[{index}]",
                f"a step has one retry policy: that of [{retriers.index(chosen)}] is taken",
            )
    if not _all(chosen):
        listed = chosen.get("ErrorEquals")
        names = ", ".join(str(name) for name in listed) if isinstance(listed, list) else "none"
        check(
            f"{where}.ErrorEquals",
            f"Weft tries again by status code (what may pass) and not by name ({names})",
        )
    policy = _policy(chosen, where, check)
    unlikely = [name for each in never for name in caught(each.get("ErrorEquals"), path, check)]
    if unlikely:
        policy["non_retryable_reasons"] = unlikely
    return policy


def _all(retrier: dict[str, Any]) -> bool:
    names = retrier.get("ErrorEquals")
    return isinstance(names, list) and not ALL.isdisjoint(name for name in names if isinstance(name, str))


def _policy(retrier: dict[str, Any], path: str, check: Report) -> dict[str, Any]:
    attempts = _number(retrier, "MaxAttempts", 3)
    interval = min(_number(retrier, "IntervalSeconds", 1), _MAX_BACKOFF)
    rate = min(max(float(_number(retrier, "BackoffRate", 2.0)), 1.0), 10.0)
    longest = min(_number(retrier, "MaxDelaySeconds", _longest(interval, rate, attempts)), _MAX_BACKOFF)
    if rate != float(_number(retrier, "BackoffRate", 2.0)):
        check(f"{path}.BackoffRate", f"is taken as {rate}: 1 to 10")
    if retrier.get("JitterStrategy") == "FULL":
        check(f"{path}.JitterStrategy", "FULL shortens pauses by chance; here they are made longer by chance")
    policy: dict[str, Any] = {
        "max_attempts": int(min(attempts, 1_000_000)) + 1,
        "initial_backoff": _seconds(interval),
        "multiplier": int(rate) if rate == int(rate) else rate,
        "jitter": 1.0 if retrier.get("JitterStrategy") == "FULL" else 0.0,
        "on_exhausted": "fail",
    }
    if longest != 60:
        policy["max_backoff"] = _seconds(max(longest, interval))
    return policy


def _longest(interval: float, rate: float, attempts: float) -> float:
    """Return the longest pause there is: without MaxDelaySeconds nothing bounds it."""
    pause = float(interval)
    for _ in range(min(int(attempts) - 1, 60)):
        pause = min(pause * rate, float(_MAX_BACKOFF))
    return int(pause) if pause == int(pause) else pause


def _seconds(value: float) -> str:
    return f"{int(value) if value == int(value) else value}s"


def _number(values: dict[str, Any], name: str, default: float) -> float:
    found = values.get(name, default)
    return found if isinstance(found, int | float) and not isinstance(found, bool) and found >= 0 else default
