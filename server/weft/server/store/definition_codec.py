"""Definitions of workflows at rest; ``codec`` says what the form is.

The members of a step's kind stand in ``does``, whose own member ``kind`` says which it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from weft.server.forms import build, known_as, member_of
from weft.server.store.times import revive_durations
from weft.server.workflow import kinds
from weft.server.workflow.model import (
    Cache,
    Compensation,
    Concurrency,
    Definition,
    ErrorHandler,
    ErrorKind,
    Exhausted,
    OnConflict,
    RetryPolicy,
    Step,
    StepDefaults,
    StepLimit,
)

__all__ = ["decode_definition"]

_Record = dict[str, Any]


def decode_definition(record: _Record) -> Definition:
    """Read what a version of a workflow does."""
    _steps(record, "steps", "finally_steps")
    revive_durations(record, "timeout", "retention")
    _revive(record, "concurrency", _concurrency)
    _revive(record, "defaults", _defaults)
    return build(Definition, record)


def _steps(record: _Record, *names: str) -> None:
    for name in names:
        if name in record:
            record[name] = tuple(_step(step) for step in record[name])


def _revive(record: _Record, name: str, read: Callable[[_Record], object]) -> None:
    if record.get(name) is not None:
        record[name] = read(record[name])


def _step(record: _Record) -> Step:
    revive_durations(record, "timeout", "schedule_to_close_timeout", "heartbeat_timeout")
    _revive(record, "retry", _retry)
    _revive(record, "compensate", _compensation)
    _revive(record, "cache", _cache)
    _revive(record, "limit", _limit)
    _revive(record, "does", _kind)
    record["on_error"] = tuple(_handler(handler) for handler in record.get("on_error", ()))
    return build(Step, record)


def _retry(record: _Record) -> RetryPolicy:
    revive_durations(record, "initial_backoff", "max_backoff")
    record["non_retryable"] = tuple(record["non_retryable"])
    record["exhausted"] = member_of(Exhausted, record["exhausted"])
    return build(RetryPolicy, record)


def _compensation(record: _Record) -> Compensation:
    revive_durations(record, "timeout")
    _revive(record, "retry", _retry)
    return build(Compensation, record)


def _cache(record: _Record) -> Cache:
    revive_durations(record, "ttl")
    return build(Cache, record)


def _limit(record: _Record) -> StepLimit:
    revive_durations(record, "per")
    return build(StepLimit, record)


def _handler(record: _Record) -> ErrorHandler:
    record["reasons"] = tuple(record["reasons"])
    record["kind"] = member_of(ErrorKind, record["kind"])
    return build(ErrorHandler, record)


def _concurrency(record: _Record) -> Concurrency:
    if "on_conflict" in record:
        record["on_conflict"] = member_of(OnConflict, record["on_conflict"])
    return build(Concurrency, record)


def _defaults(record: _Record) -> StepDefaults:
    revive_durations(record, "timeout", "heartbeat_timeout", "schedule_to_close_timeout")
    _revive(record, "retry", _retry)
    return build(StepDefaults, record)


def _kind(record: _Record) -> kinds.Kind:
    return known_as(_KINDS, record["kind"], "step kind")(record)


def _switch(record: _Record) -> kinds.Switch:
    record["cases"] = tuple(build(kinds.Case, case) for case in record["cases"])
    return build(kinds.Switch, record)


def _parallel(record: _Record) -> kinds.Parallel:
    for branch in record["branches"]:
        _steps(branch, "steps")
    record["branches"] = tuple(build(kinds.Branch, branch) for branch in record["branches"])
    return build(kinds.Parallel, record)


def _map(record: _Record) -> kinds.Map:
    _steps(record, "steps")
    _revive(record, "workflow", lambda child: build(kinds.Child, child))
    return build(kinds.Map, record)


def _loop(record: _Record) -> kinds.Loop:
    _steps(record, "steps")
    return build(kinds.Loop, record)


def _approval(record: _Record) -> kinds.Approval:
    record["assignees"] = tuple(record["assignees"])
    record["outcomes"] = tuple(record["outcomes"])
    return build(kinds.Approval, record)


_KINDS: Final[dict[str, Callable[[_Record], kinds.Kind]]] = {
    "switch": _switch,
    "parallel": _parallel,
    "map": _map,
    "loop": _loop,
    "wait": lambda record: build(kinds.Wait, record),
    "signal": lambda record: build(kinds.Signal, record),
    "approval": _approval,
    "workflow": lambda record: build(kinds.Child, record),
    "set": lambda record: build(kinds.SetVariables, record),
    "emit": lambda record: build(kinds.Emit, record),
    "fail": lambda record: build(kinds.Fail, record),
    "succeed": lambda record: build(kinds.Succeed, record),
}
