"""What the file of a workflow may hold: the members of the contract, in the order in which people read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from weft.cli._files.shapes import (
    FLAG,
    JSON,
    NUMBER,
    OBJECT,
    SPAN,
    TEXT,
    TEXTS,
    TIME_TEXT,
    WHOLE,
    Shape,
    choice,
    list_of,
)
from weft.core.definitions import MAX_STEPS, STEP_KINDS
from weft.core.errors import Violation
from weft.core.reasons import Rule

__all__ = ["STEP", "WORKFLOW"]

_SECOND: Final = timedelta(seconds=1)
_MANY: Final = 100
"""Cases, branches, handlers, assignees and outcomes."""


def _check_step(step: Mapping[str, Any], path: str) -> list[Violation]:
    """A step says by one member what it is, or names the action that it calls."""
    said = [kind for kind in STEP_KINDS if step.get(kind) is not None]
    if len(said) > 1:
        text = f"is {' and '.join(said)}; a step is one of them"
        return [Violation(path, text, Rule.INVALID)]
    return [] if said else _check_call(step, path)


def _check_call(step: Mapping[str, Any], path: str) -> list[Violation]:
    missing = [name for name in ("service", "action") if step.get(name) is None]
    if len(missing) == 2 and not set(step) - {"id", "next", "description"}:
        text = f"is nothing: it needs service and action, or one of {', '.join(STEP_KINDS)}"
        return [Violation(path, text, Rule.REQUIRED)]
    return [Violation(f"{path}.{name}", "is required", Rule.REQUIRED) for name in missing]


_RETRY: Final = Shape("RetryPolicy").having(
    {
        "max_attempts": WHOLE.meaning(3),
        "initial_backoff": SPAN.meaning(_SECOND),
        "multiplier": NUMBER.meaning(2.0, 0),
        "max_backoff": SPAN.meaning(timedelta(minutes=1)),
        "jitter": NUMBER.meaning(0.2),
        "non_retryable_reasons": list_of(TEXT, 50),
        "on_exhausted": choice("INCIDENT", "FAIL", default="INCIDENT"),
    }
)

_CONCURRENCY: Final = Shape("Concurrency", ("limit",)).having(
    {
        "limit": WHOLE,
        "key": TEXT,
        "on_conflict": choice("QUEUE", "REJECT", "CANCEL_RUNNING", default="QUEUE"),
    }
)

_DEFAULTS: Final = Shape("StepDefaults").having(
    {
        "timeout": SPAN,
        "heartbeat_timeout": SPAN,
        "schedule_to_close_timeout": SPAN,
        "retry": _RETRY.field,
    }
)

_HANDLER: Final = Shape("ErrorHandler").having(
    {"reasons": list_of(TEXT, 50), "kind": choice("BUSINESS", "TECHNICAL"), "next": TEXT}
)

_COMPENSATION: Final = Shape("Compensation", ("action",)).having(
    {"service": TEXT, "action": TEXT, "input": OBJECT, "timeout": SPAN, "retry": _RETRY.field}
)

_CACHE: Final = Shape("Cache", ("ttl",)).having({"ttl": SPAN, "key": TEXT})

_LIMIT: Final = Shape("StepLimit").having(
    {"concurrency": WHOLE, "rate": WHOLE, "per": SPAN.meaning(_SECOND), "key": TEXT}
)

_ONE_KIND: Final = {
    "oneOf": [{"required": ["service", "action"]}, *({"required": [it]} for it in STEP_KINDS)]
}

STEP: Final = Shape("Step", ("id",), _check_step, _ONE_KIND)
"""A step; its members follow below, as some of them hold steps."""

_STEPS: Final = list_of(STEP.field, MAX_STEPS)

_CHILD: Final = Shape("ChildStep", ("name",)).having(
    {"name": TEXT, "version": WHOLE, "alias": TEXT, "abandon": FLAG}
)

_CASE: Final = Shape("SwitchCase", ("when",)).having({"when": TEXT, "next": TEXT})
_SWITCH: Final = Shape("SwitchStep", ("cases",)).having(
    {"cases": list_of(_CASE.field, _MANY), "default": TEXT}
)

_BRANCH: Final = Shape("Branch", ("name", "steps")).having({"name": TEXT, "steps": _STEPS})
_PARALLEL: Final = Shape("ParallelStep", ("branches",)).having(
    {"branches": list_of(_BRANCH.field, _MANY), "join": WHOLE, "collect_errors": FLAG}
)

_MAP: Final = Shape("MapStep", ("items",)).having(
    {
        "items": JSON,
        "workflow": _CHILD.field,
        "max_concurrency": WHOLE,
        "tolerated_failures": WHOLE,
        "discard_outputs": FLAG,
        "steps": _STEPS,
    }
)

_LOOP: Final = Shape("LoopStep", ("steps",)).having(
    {"while": TEXT, "until": TEXT, "max_iterations": WHOLE, "steps": _STEPS}
)

_WAIT: Final = Shape("WaitStep").having({"duration": TIME_TEXT, "until": TEXT})
_SIGNAL: Final = Shape("SignalStep", ("name",)).having({"name": TEXT, "correlation": TEXT, "schema": OBJECT})
_APPROVAL: Final = Shape("ApprovalStep", ("title",)).having(
    {
        "title": TEXT,
        "assignees": list_of(TEXT, _MANY),
        "due": TIME_TEXT,
        "outcomes": list_of(TEXT, _MANY).meaning(["approved", "rejected"]),
        "schema": OBJECT,
    }
)
_EMIT: Final = Shape("EmitStep", ("type",)).having({"type": TEXT, "data": OBJECT})
_FAIL: Final = Shape("FailStep", ("reason",)).having({"reason": TEXT, "message": TEXT})
_SUCCEED: Final = Shape("SucceedStep").having({"result": OBJECT})

_KINDS: Final = {
    "switch": _SWITCH.field,
    "parallel": _PARALLEL.field,
    "map": _MAP.field,
    "loop": _LOOP.field,
    "wait": _WAIT.field,
    "signal": _SIGNAL.field,
    "approval": _APPROVAL.field,
    "workflow": _CHILD.field,
    "set": OBJECT,
    "emit": _EMIT.field,
    "fail": _FAIL.field,
    "succeed": _SUCCEED.field,
}

STEP.having(
    {
        "id": TEXT,
        "description": TEXT,
        "service": TEXT,
        "service_version": TEXT,
        "action": TEXT,
        "input": OBJECT,
        **_KINDS,
        "output": OBJECT,
        "timeout": SPAN,
        "heartbeat_timeout": SPAN,
        "schedule_to_close_timeout": SPAN,
        "retry": _RETRY.field,
        "at_most_once": FLAG,
        "cache": _CACHE.field,
        "limit": _LIMIT.field,
        "on_error": list_of(_HANDLER.field, _MANY),
        "compensate": _COMPENSATION.field,
        "next": TEXT,
    }
)

WORKFLOW: Final = Shape("Workflow", ("name", "steps")).having(
    {
        "name": TEXT,
        "description": TEXT,
        "labels": TEXTS,
        "metadata": OBJECT.meaning(None, {}),
        "input_schema": OBJECT.meaning(None, {}),
        "output_schema": OBJECT.meaning(None, {}),
        "timeout": SPAN.meaning(None, timedelta()),
        "retention": SPAN,
        "search_attributes": TEXTS,
        "concurrency": _CONCURRENCY.field,
        "defaults": _DEFAULTS.field,
        "steps": _STEPS,
        "finally": _STEPS,
    }
)
"""A workflow."""
