"""What the members of each kind of step have to be, as far as that is no expression.

Counts and ranges of numbers are checked when a definition is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, Final

from weft.core.errors import PreconditionError
from weft.core.names import ACTION_NAME, STEP_ID, check_name
from weft.core.reasons import Rule
from weft.server.workflow import kinds
from weft.server.workflow.checks.basis.places import Spot, cut
from weft.server.workflow.checks.form.map_items import check_items
from weft.server.workflow.expressions.spans import MAX_SPAN, parse_instant, parse_span
from weft.server.workflow.model import Step

__all__ = ["REASON", "check_kind"]

REASON: Final = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*")
_ERRORS: Final = "errors"
"""What the output of a `parallel` holds beside its branches."""


def check_kind(step: Step, spot: Spot) -> None:
    """Report what is wrong with a step's own kind."""
    check = _CHECKS.get(step.kind)
    if check is not None:
        check(step.does, spot)


def _check_signal(it: kinds.Signal, spot: Spot) -> None:
    spot.extend(check_name(spot.path_of("signal.name"), it.name, STEP_ID))


def _check_emit(it: kinds.Emit, spot: Spot) -> None:
    spot.extend(check_name(spot.path_of("emit.type"), it.type, ACTION_NAME))


def _check_switch(it: kinds.Switch, spot: Spot) -> None:
    if not it.cases:
        spot.add("switch.cases", Rule.REQUIRED, "a switch has at least one case")
    for number, case in enumerate(it.cases):
        if not case.when.strip():
            spot.add(
                f"switch.cases[{number}].when", Rule.REQUIRED, "is required", "use `default` for the rest"
            )


def _check_parallel(it: kinds.Parallel, spot: Spot) -> None:
    if not it.branches:
        spot.add("parallel.branches", Rule.REQUIRED, "a `parallel` has at least one branch")
    names = [(f"parallel.branches[{at}].name", branch.name) for at, branch in enumerate(it.branches)]
    _check_names(spot, names)
    for path, name in names:
        if name == _ERRORS:
            spot.add(path, Rule.INVALID, f"{_ERRORS!r} is what failed, in the output of the step")
    if it.branches and it.join > len(it.branches):
        message = f"waits for {it.join:,} branches of {len(it.branches)}: it never completes"
        spot.add("parallel.join", Rule.JOIN_IMPOSSIBLE, message, "0 waits for all of them")


def _check_names(spot: Spot, names: Iterable[tuple[str, str]]) -> None:
    """Report names that are none, and those that stand there twice."""
    first: dict[str, str] = {}
    for path, name in names:
        spot.extend(check_name(spot.path_of(path), name, STEP_ID))
        if name and name in first:
            spot.add(path, Rule.DUPLICATE, f"{cut(name)!r} is the name of {first[name]} already")
        first.setdefault(name, path.rpartition(".")[0] or path)


def _check_map(it: kinds.Map, spot: Spot) -> None:
    if it.workflow is not None:
        _check_child(it.workflow, spot, "map.workflow")
        if it.steps:
            message = "a map has either `steps` or a `workflow`, not both"
            spot.add("map.workflow", Rule.MEMBER_NOT_ALLOWED, message)
    check_items(it.items, spot)


def _check_loop(it: kinds.Loop, spot: Spot) -> None:
    if it.while_ and it.until:
        spot.add("loop.until", Rule.MEMBER_NOT_ALLOWED, "a loop has either `while` or `until`, not both")
    if not it.while_.strip() and not it.until.strip():
        spot.add("loop.while", Rule.REQUIRED, "a loop has `while` or `until`, so that it ends")


def _check_wait(it: kinds.Wait, spot: Spot) -> None:
    if it.duration and it.until:
        spot.add("wait.until", Rule.MEMBER_NOT_ALLOWED, "a wait has either `duration` or `until`, not both")
    if not it.duration.strip() and not it.until.strip():
        spot.add("wait.duration", Rule.REQUIRED, "a wait has `duration` or `until`, so that it ends")
    _check_span(spot, "wait.duration", it.duration)
    if it.until.strip() and "${" not in it.until:
        _check_instant(spot, "wait.until", it.until)


def _check_span(spot: Spot, member: str, text: str) -> None:
    """Report a span that is no template, and none either."""
    if not text.strip() or "${" in text:
        return
    try:
        parse_span(text, limit=timedelta.max)
    except PreconditionError as error:
        spot.add(member, Rule.INVALID, error.metadata["error"])
        return
    try:
        parse_span(text)
    except PreconditionError:
        spot.add(member, Rule.OUT_OF_RANGE, f"{cut(text.strip())} is more than {MAX_SPAN.days} days")


def _check_instant(spot: Spot, member: str, text: str) -> None:
    try:
        parse_instant(text)
    except PreconditionError as error:
        hint = "an expression stands in `${ … }`" if "." in text and "-" not in text else ""
        spot.add(member, Rule.INVALID, error.metadata["error"], hint)


def _check_approval(it: kinds.Approval, spot: Spot) -> None:
    if not it.title.strip():
        spot.add("approval.title", Rule.REQUIRED, "an approval says what is asked")
    if not it.outcomes:
        spot.add("approval.outcomes", Rule.REQUIRED, "an approval has at least one outcome")
    _check_names(spot, [(f"approval.outcomes[{at}]", name) for at, name in enumerate(it.outcomes)])
    _check_span(spot, "approval.due", it.due)


def _check_child(it: kinds.Child, spot: Spot, member: str = "workflow") -> None:
    if not it.name:
        spot.add(f"{member}.name", Rule.REQUIRED, "is required")
    if it.version and it.alias:
        message = "a child has either a `version` or an `alias`, not both"
        spot.add(f"{member}.alias", Rule.MEMBER_NOT_ALLOWED, message)


def _check_set(it: kinds.SetVariables, spot: Spot) -> None:
    values: dict[str, Any] = it.values
    if not values:
        spot.add("set", Rule.REQUIRED, "sets at least one variable")
    for name in values:
        for fault in check_name("set", name, STEP_ID):
            message = f"{cut(name)!r} is no name of a variable: {fault.description}"
            spot.add("set", Rule.INVALID, message.replace("the id of a step", "it"))


def _check_fail(it: kinds.Fail, spot: Spot) -> None:
    if not it.reason:
        spot.add("fail.reason", Rule.REQUIRED, "is required")
    elif REASON.fullmatch(it.reason) is None:
        words = re.sub(r"[^A-Z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", it.reason).upper()).strip(
            "_"
        )
        hint = f"did you mean {words!r}?" if REASON.fullmatch(words) else ""
        spot.add("fail.reason", Rule.INVALID, f"{cut(it.reason)!r} is not UPPER_SNAKE_CASE", hint)


_CHECKS: Final[dict[str, Callable[[Any, Spot], None]]] = {
    "switch": _check_switch,
    "parallel": _check_parallel,
    "map": _check_map,
    "loop": _check_loop,
    "wait": _check_wait,
    "signal": _check_signal,
    "approval": _check_approval,
    "workflow": _check_child,
    "set": _check_set,
    "emit": _check_emit,
    "fail": _check_fail,
}
