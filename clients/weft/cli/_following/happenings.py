"""What happens beside calls of actions, in one line each: waits, messages, bodies, the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Final

from weft.cli._base.text import plural, shorten
from weft.cli._following.step_progress import StepProgress
from weft.cli._following.telling import approval_text, clock_time, map_text

if TYPE_CHECKING:
    from weft.client import Event

__all__ = ["TELL"]

_SHOWN: Final = 200
_NAMED: Final = 5

Steps = MutableMapping[str, StepProgress]


def _map_started(event: Event, steps: Steps) -> str:
    count = int(event.data.get("count") or 0)
    step_id, step = _step(event, steps)
    step.state, step.count, step.note = "OPEN", count, map_text(count, 0, 0)
    return f"{step_id} goes over {plural(count, 'item')}"


def _waiting(event: Event, steps: Steps) -> str:
    step_id, step = _step(event, steps)
    until = f" until {clock_time(event.data['until'])}" if event.data.get("until") else ""
    step.state, step.note = "WAITING", _waited_for(event.data) + until
    return f"{step_id} {step.note}"


def _waited_for(data: Mapping[str, Any]) -> str:
    match data.get("reason"):
        case "SIGNAL":
            about = f" about {data['correlation']}" if data.get("correlation") else ""
            return f"waits for message {data.get('signal', '')}{about}"
        case "APPROVAL":
            return approval_text(data.get("approval") or {})
        case "CHILD":
            return f"runs as {data.get('child_execution_id', '')}"
        case "TIMER":
            return "waits"
        case reason:
            return f"waits for {reason or 'something'}"


def _signal(event: Event, steps: Steps) -> str:  # noqa: ARG001 - one form for all
    about = f" about {event.data['correlation']}" if event.data.get("correlation") else ""
    return f"message {event.data.get('name', '')}{about} came"


def _scope_completed(event: Event, steps: Steps) -> str:
    scope = str(event.data.get("scope", ""))
    _count(scope, steps, failed=False)
    for path in [path for path in steps if path.startswith(f"{scope}/")]:
        del steps[path]  # a map may have very many
    return f"{scope} completed"


def _scope_failed(event: Event, steps: Steps) -> str:
    scope = str(event.data.get("scope", ""))
    _count(scope, steps, failed=True)
    return f"{scope} failed{_because(event)}"


def _count(scope: str, steps: Steps, *, failed: bool) -> None:
    """Say of the step that the scope is inside of how far it is."""
    step = steps.get(scope.rpartition("[")[0])
    if step is None:
        return
    step.failed += failed
    step.completed += not failed
    if step.count:
        step.note = map_text(step.count, step.completed, step.failed)


def _emitted(event: Event, steps: Steps) -> str:  # noqa: ARG001 - one form for all
    return f"{event.data.get('step_id', '')} emitted {event.data.get('type', '')}"


def _closing(event: Event, steps: Steps) -> str:
    for step in steps.values():
        if step.under_way:
            step.state, step.ended = "CANCELLED", event.time
    undo = [str(path) for path in event.data.get("undo") or ()]
    outcome = str(event.data.get("outcome") or "").lower()
    said = str(event.data.get("reason") or "")
    why = f": {said}" if said else _because(event)
    more = ", …" if len(undo) > _NAMED else ""
    undone = f"; to be undone: {', '.join(undo[:_NAMED])}{more}" if undo else ""
    return f"execution closes as {outcome}{why}{undone}"


def _because(event: Event) -> str:
    failure = event.data.get("failure") or {}
    return f": {shorten(failure.get('message', ''), _SHOWN)}" if failure else ""


def _step(event: Event, steps: Steps) -> tuple[str, StepProgress]:
    step_id = str(event.data.get("step_id", ""))
    return step_id, steps.setdefault(step_id, StepProgress())


TELL: Final[Mapping[str, Callable[[Event, Steps], str]]] = {
    "map_started": _map_started,
    "step_waiting": _waiting,
    "signal_received": _signal,
    "scope_completed": _scope_completed,
    "scope_failed": _scope_failed,
    "event_emitted": _emitted,
    "execution_closing": _closing,
}
"""By kind of event: takes note of it, and says it."""
