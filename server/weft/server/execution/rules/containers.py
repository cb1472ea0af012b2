"""Steps that hold lists of steps: parallel, map and loop."""

from __future__ import annotations

from typing import Any, Final

import orjson

from weft.core.errors import PreconditionError
from weft.core.payload import JsonObject, tight
from weft.core.reasons import Reason
from weft.server.execution.history.model import Failure, MapStarted, StepScheduled
from weft.server.execution.history.paths import in_scope, sub_scope
from weft.server.execution.history.place import Place
from weft.server.execution.history.plan import PlannedStep
from weft.server.execution.history.run import Recording, Run
from weft.server.execution.rules.endings import complete_step, fail_step
from weft.server.execution.rules.names import names
from weft.server.workflow.kinds import Loop, Map, Parallel

__all__ = ["MAX_ITEMS", "begin", "inside_changed"]

MAX_ITEMS: Final = 1_000_000
_AT_ONCE: Final = 100
"""Items of a map that are worked on at the same time, when it does not say."""
_ITERATIONS: Final = 1_000
"""Iterations of a loop, when it does not say."""


def begin(run: Run, recording: Recording, place: Place, planned: PlannedStep) -> None:
    """Begin what is inside of a step that was just scheduled.

    Raises:
        WeftError: It cannot begin.
    """
    match planned.step.does:
        case Parallel():
            for number, body in enumerate(planned.bodies):
                _schedule(recording, place, number, body.first)
        case Map():
            _begin_map(run, recording, place, planned)
        case Loop() as loop:
            if loop.while_ and not planned.conditions[0].holds({**names(run, place), "iteration": 0}):
                complete_step(run, recording, place, b'{"iterations":0,"last":{}}')
            else:
                _schedule(recording, place, 0, planned.bodies[0].first)
        case _:
            raise AssertionError(planned.step)


def inside_changed(run: Run, recording: Recording, place: Place, *, held: bool) -> bool:
    """Go on when something inside of a step has ended; False when it is not to go on now.

    Raises:
        WeftError: It cannot go on.
    """
    planned = place.planned
    if planned is None:
        return True
    match planned.step.does:
        case Parallel() as parallel:
            _join(run, recording, place, parallel)
        case Map() as each:
            return _go_on_with_map(run, recording, place, planned, each, held=held)
        case Loop() as loop:
            return _go_on_with_loop(run, recording, place, planned, loop, held=held)
        case _:
            pass
    return True


def _schedule(recording: Recording, place: Place, number: int, first: str) -> None:
    recording.add(StepScheduled(step_id=in_scope(sub_scope(place.path, number), first)))


def _newest(place: Place) -> Failure:
    """Return the failure inside of a step that came last."""
    return next(reversed(place.failed.values()))


# ---- parallel


def _join(run: Run, recording: Recording, place: Place, parallel: Parallel) -> None:
    total = len(parallel.branches)
    wanted = parallel.join or total
    left = total - place.completed - len(place.failed)
    if place.completed >= wanted or (parallel.collect_errors and not left and not parallel.join):
        complete_step(run, recording, place, _branch_outputs(place, parallel))
    elif place.failed and (not parallel.collect_errors or not left) and place.completed + left < wanted:
        fail_step(recording, place, _newest(place))


def _branch_outputs(place: Place, parallel: Parallel) -> bytes:
    members = [
        orjson.dumps(parallel.branches[number].name) + b":" + text
        for number, text in sorted(place.results.items())
    ]
    if parallel.collect_errors and place.failed:
        errors = {parallel.branches[number].name: _told(it) for number, it in sorted(place.failed.items())}
        members.append(b'"errors":' + orjson.dumps(errors))
    return b"{" + b",".join(members) + b"}"


def _told(failure: Failure) -> JsonObject:
    return {"reason": failure.reason, "message": failure.message, "code": failure.code.name}


# ---- map


def _begin_map(run: Run, recording: Recording, place: Place, planned: PlannedStep) -> None:
    assert planned.value is not None  # every map has items
    values, count = _items(place.path, planned.value.render(names(run, place)))
    recording.add(MapStarted(step_id=place.path, count=count, items=tight(orjson.dumps(values))))


def _items(path: str, value: Any) -> tuple[JsonObject, int]:
    if isinstance(value, list):
        values, count = {"list": value}, len(value)
    elif isinstance(value, dict) and {"from", "to"} <= value.keys() <= {"from", "to", "step"}:
        values, count = _range(path, value)
    else:
        raise _bad_items(path, f"a list, or an object with `from` and `to`, is needed, not {_kind(value)}")
    if count > MAX_ITEMS:
        raise _bad_items(path, f"{count:,} items are over the limit of {MAX_ITEMS:,}")
    return values, count


def _range(path: str, value: JsonObject) -> tuple[JsonObject, int]:
    numbers = {name: value.get(name, 1) for name in ("from", "to", "step")}
    whole = {name: int(it) for name, it in numbers.items() if _is_whole(it)}
    if len(whole) < len(numbers) or not whole["step"]:
        raise _bad_items(path, "`from`, `to` and `step` have to be whole numbers, `step` not 0")
    count = len(range(whole["from"], whole["to"], whole["step"]))
    return {"from": whole["from"], "step": whole["step"]}, count


def _is_whole(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= 2**53 and value == int(value)


def _kind(value: object) -> str:
    kinds = {str: "text", bool: "true or false", int: "a number", float: "a number", dict: "another object"}
    return kinds.get(type(value), "null")


def _bad_items(path: str, text: str) -> PreconditionError:
    return PreconditionError(
        f"the items of {path}: {text}", reason=Reason.MAP_ITEMS_INVALID, metadata={"step_id": path}
    )


def _go_on_with_map(
    run: Run, recording: Recording, place: Place, planned: PlannedStep, each: Map, *, held: bool
) -> bool:
    if each.tolerated_failures >= 0 and len(place.failed) > each.tolerated_failures:
        fail_step(recording, place, _newest(place))
        return True
    if place.completed + len(place.failed) == place.count:
        complete_step(run, recording, place, _map_output(place, each))
        return True
    if held:
        return place.started == place.count
    room = (each.max_concurrency or _AT_ONCE) - len(place.inside)
    for number in range(place.started, min(place.count, place.started + room)):
        _schedule(recording, place, number, planned.bodies[0].first)
    return True


def _map_output(place: Place, each: Map) -> bytes:
    errors = [{"index": number, **_told(failure)} for number, failure in sorted(place.failed.items())]
    members = [
        b'"count":%d' % place.count,
        b'"failed":%d' % len(place.failed),
        b'"errors":' + orjson.dumps(errors[:_ERRORS_KEPT]),
    ]
    if not each.discard_outputs:
        members.append(
            b'"items":[' + b",".join(place.results.get(n, b"null") for n in range(place.count)) + b"]"
        )
    return b"{" + b",".join(members) + b"}"


_ERRORS_KEPT: Final = 1_000
"""Errors of items that the output has; ``failed`` counts all."""


# ---- loop


def _go_on_with_loop(
    run: Run, recording: Recording, place: Place, planned: PlannedStep, loop: Loop, *, held: bool
) -> bool:
    if place.failed:
        fail_step(recording, place, _newest(place))
        return True
    if not place.completed or place.inside:
        return True
    if _is_over(run, place, planned, loop):
        text = b'{"iterations":%d,"last":%s}' % (place.started, place.results[place.last])
        complete_step(run, recording, place, text)
        return True
    limit = loop.max_iterations or _ITERATIONS
    if place.started >= limit:
        raise PreconditionError(
            f"the loop {place.path} did not end within {limit:,} iterations",
            reason=Reason.LOOP_LIMIT,
            metadata={"step_id": place.path, "limit": str(limit)},
        )
    if held:
        return False
    _schedule(recording, place, place.started, planned.bodies[0].first)
    return True


def _is_over(run: Run, place: Place, planned: PlannedStep, loop: Loop) -> bool:
    """Ask the condition, which sees what the last iteration gave."""
    known = names(run, place)
    known["iteration"] = place.last if loop.until else place.started  # the one behind it, or the next one
    if place.previous is not None:
        known["steps"] = {**known["steps"], **run.parsed(place.previous).outputs}
    holds = planned.conditions[0].holds(known)
    return holds if loop.until else not holds
