"""What follows from what happened: the rules of the language, over a run and what is being recorded.

Nothing here waits, and nothing is called: a decision is a function of the history, and
is recorded with what it follows from, in one commit.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from weft.core.errors import InternalError, WeftError
from weft.server.execution.history.model import Failure, StepScheduled
from weft.server.execution.history.paths import FINALLY, TOP, UNDO, in_scope
from weft.server.execution.history.place import Phase, Place
from weft.server.execution.history.run import Recording, Run, Settle
from weft.server.execution.rules import closing, containers, single
from weft.server.execution.rules.endings import fail_step, finish_scope
from weft.server.workflow.kinds import Loop, Map, Parallel

__all__ = ["settle", "settling"]

_AT_ONCE: Final = 250
"""Events after which a commit is made; a loop without actions must not hold up everybody."""

_log = logging.getLogger("weft.server.engine")


def settling(held: Callable[[Run], bool]) -> Settle:
    """Return how to settle runs of which some are to schedule nothing."""
    return lambda run, recording: settle(run, recording, held=held(run))


def settle(run: Run, recording: Recording, *, held: bool = False) -> None:
    """Add everything that follows, until somebody else's turn comes: an action's, a clock's, a person's.

    Args:
        run: The execution.
        recording: What happened.
        held: Whether nothing new may be scheduled.
    """
    standing = run.standing
    kept: dict[str, Place] = {}
    while standing.touched and standing.final is None and len(recording.events) < _AT_ONCE:
        scope, place = standing.touched.popitem()
        if not _advance(run, recording, place, held=held or standing.paused):
            kept[scope] = place
    if standing.final is None:
        standing.touched.update((scope, place) for scope, place in kept.items() if scope in standing.places)


def _advance(run: Run, recording: Recording, place: Place, *, held: bool) -> bool:
    """Go on at one place; False when there is something to do, but not now."""
    match place.phase:
        case Phase.READY:
            return _next(run, recording, place, held=held)
        case Phase.SCHEDULED:
            _work_out(run, recording, place)
        case Phase.OPEN:
            return _inside_changed(run, recording, place, held=held)
        case Phase.WAITING:
            single.look_for_signal(run, recording, place)
        case Phase.FAILED:
            return _failed(run, recording, place, held=held)
        case _:
            pass
    return True


def _next(run: Run, recording: Recording, place: Place, *, held: bool) -> bool:
    if place.scope == UNDO:
        return closing.undo_next(run, recording, place, held=held)
    target = place.goto
    if target is None:
        planned = place.planned
        target = planned.step.next if planned is not None else _first(run, place)
    if not target:
        if place.scope == FINALLY:
            closing.end(run, recording)
        else:
            finish_scope(run, recording, place)
        return True
    if held:
        return False
    recording.add(StepScheduled(step_id=in_scope(place.scope, target)))
    return True


def _first(run: Run, place: Place) -> str:
    """Return the step that a list begins with, which was opened and not begun."""
    if place.scope == FINALLY:
        return run.closing_step
    return run.plan.first if place.scope == TOP else ""


def _work_out(run: Run, recording: Recording, place: Place) -> None:
    """Do at once what is no call of an action."""
    planned = place.planned
    if planned is None or planned.step.does is None:
        return
    try:
        if isinstance(planned.step.does, Parallel | Map | Loop):
            containers.begin(run, recording, place, planned)
        else:
            single.begin(run, recording, place, planned)
    except Exception as error:
        _fail(recording, place, error)


def _inside_changed(run: Run, recording: Recording, place: Place, *, held: bool) -> bool:
    try:
        return containers.inside_changed(run, recording, place, held=held)
    except Exception as error:
        _fail(recording, place, error)
        return True


def _fail(recording: Recording, place: Place, error: Exception) -> None:
    """Let an error end the step; also a defect, which must not wedge the execution."""
    known = error if isinstance(error, WeftError) else InternalError(f"{type(error).__name__}: {error}")
    if known is not error:
        _log.error("step %s: a defect of the engine", place.path, exc_info=error)
    fail_step(recording, place, Failure.of(known))


def _failed(run: Run, recording: Recording, place: Place, *, held: bool) -> bool:
    if place.scope == UNDO:
        return closing.undo_next(run, recording, place, held=held)
    if place.scope == FINALLY:
        closing.end(run, recording)
    else:
        finish_scope(run, recording, place)
    return True
