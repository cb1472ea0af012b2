"""The end of an execution whose outcome is decided: undoing what was done, ``finally``, the end."""

from __future__ import annotations

from weft.server.execution.history.model import StepScheduled
from weft.server.execution.history.paths import FINALLY, in_scope, undo_path
from weft.server.execution.history.place import Place
from weft.server.execution.history.run import Recording, Run
from weft.server.execution.rules.endings import final

__all__ = ["end", "undo_next"]


def undo_next(run: Run, recording: Recording, place: Place, *, held: bool) -> bool:
    """Undo the next step, or go over to what runs at the end; False when that is not to begin now."""
    closing = run.standing.closing
    assert closing is not None  # nothing is undone before
    following = _following([undo_path(path) for path in closing.undo], place.path)
    if not following and not run.closing_step:
        end(run, recording)
        return True
    if held:
        return False
    recording.add(StepScheduled(step_id=following or in_scope(FINALLY, run.closing_step)))
    return True


def _following(paths: list[str], path: str) -> str:
    if not path:
        return paths[0] if paths else ""
    at = paths.index(path) + 1
    return paths[at] if at < len(paths) else ""


def end(run: Run, recording: Recording) -> None:
    """Record the end that was decided."""
    closing = run.standing.closing
    assert closing is not None  # it was decided
    recording.add(final(closing))
