"""How far an execution is: folded from its events, shown as lines or as a live table."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from weft.cli._output import state_style
from weft.cli._text import clean, humanize_seconds

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from weft.client import Event

__all__ = ["Progress", "StepProgress", "show_lines", "show_live"]

_REFRESH_PER_SECOND: Final = 8


@dataclass(slots=True, kw_only=True)
class StepProgress:
    """Where one step stands."""

    state: str = "PENDING"
    """``PENDING``, ``SCHEDULED``, ``COMPLETED``, ``FAILED`` or ``CANCELLED``."""
    attempt: int = 0
    """How often it was scheduled."""
    started: datetime | None = None
    """When it was first scheduled, by the server's clock."""
    seen: float = 0.0
    """When that was seen, by our own monotonic clock."""
    ended: datetime | None = None
    """When it ended, by the server's clock."""
    note: str = ""
    """Why it failed, or was scheduled again."""

    def seconds(self, now: float) -> float | None:
        """Return how long it took, or takes so far; the two clocks are never mixed."""
        if self.started is None:
            return None
        if self.ended is not None:
            return (self.ended - self.started).total_seconds()
        return max(now - self.seen, 0.0) if self.state == "SCHEDULED" else None


class Progress:
    """The fold of an execution's events.

    Args:
        step_ids: Steps to show before they are scheduled.
        monotonic: Our own clock.
        with_date: Whether lines say day and zone as well: for what may be long ago.

    Attributes:
        steps: Every step that is known, in order.
        state: Where the execution stands.
        note: Why it ended, unless it completed.
    """

    def __init__(
        self,
        step_ids: Sequence[str] = (),
        monotonic: Callable[[], float] = time.monotonic,
        *,
        with_date: bool = False,
    ) -> None:
        self.steps: dict[str, StepProgress] = {step_id: StepProgress() for step_id in step_ids}
        self.state = "RUNNING"
        self.note = ""
        self._monotonic = monotonic
        self._with_date = with_date

    def add(self, event: Event) -> str:
        """Take an event in, and say in one line what happened."""
        text = clean(self._fold(event))
        return f"{self._moment(event)}  {text}"

    def _moment(self, event: Event) -> str:
        if event.time is None:
            return "--:--:--.---"
        local = event.time.astimezone()
        if self._with_date:
            return local.isoformat(sep=" ", timespec="milliseconds")
        return local.strftime("%H:%M:%S.%f")[:-3]

    def now(self) -> float:
        """Return the time of our own clock."""
        return self._monotonic()

    def _fold(self, event: Event) -> str:
        match event.kind:
            case "step_scheduled":
                text = self._scheduled(event)
            case "step_completed":
                text = self._completed(event)
            case "step_failed":
                text = self._failed(event)
            case "execution_started":
                text = "execution started"
            case "execution_completed":
                text = self._finish(event, "COMPLETED")
            case "execution_failed":
                text = self._finish(event, "FAILED", _failure_text(event.data.get("failure")))
            case "execution_cancelled":
                text = self._finish(event, "CANCELLED", str(event.data.get("reason") or ""))
            case "execution_timed_out":
                text = self._finish(event, "TIMED_OUT", _limit_text(event.data.get("timeout")))
            case newer:
                text = newer
        return text

    def _step(self, event: Event) -> tuple[str, StepProgress]:
        step_id = str(event.data.get("step_id", ""))
        return step_id, self.steps.setdefault(step_id, StepProgress())

    def _scheduled(self, event: Event) -> str:
        step_id, step = self._step(event)
        step.state, step.ended = "SCHEDULED", None
        step.attempt = int(event.data.get("attempt") or 1)
        step.note = str(event.data.get("cause") or "")
        if step.started is None:
            step.started, step.seen = event.time, self.now()
        again = f" (attempt {step.attempt})" if step.attempt > 1 else ""
        return f"{step_id} scheduled{again}{_because(step.note)}"

    def _completed(self, event: Event) -> str:
        step_id, step = self._end(event, "COMPLETED", "")
        return f"{step_id} completed{self._took(step)}"

    def _failed(self, event: Event) -> str:
        step_id, step = self._end(event, "FAILED", _failure_text(event.data.get("failure")))
        return f"{step_id} failed{self._took(step)}{_because(step.note)}"

    def _end(self, event: Event, state: str, note: str) -> tuple[str, StepProgress]:
        step_id, step = self._step(event)
        step.state, step.ended, step.note = state, event.time, note
        step.attempt = int(event.data.get("attempt") or step.attempt)
        return step_id, step

    def _took(self, step: StepProgress) -> str:
        seconds = step.seconds(self.now())
        return "" if seconds is None else f" in {humanize_seconds(seconds)}"

    def _finish(self, event: Event, state: str, note: str = "") -> str:
        self.state, self.note = state, note
        for step in self.steps.values():
            if step.state == "SCHEDULED":
                step.state, step.ended = "CANCELLED", event.time
        return f"execution {state.replace('_', ' ').lower()}{_because(note)}"


def _because(note: str) -> str:
    return f": {note}" if note else ""


def _failure_text(failure: Any) -> str:
    if not failure:
        return ""
    return f"{failure.get('reason', '')}: {failure.get('message', '')}"


def _limit_text(seconds: Any) -> str:
    return f"longer than {humanize_seconds(float(seconds))}" if seconds else ""


async def show_lines(events: AsyncIterator[Event], progress: Progress, write: Callable[[str], None]) -> None:
    """Write a line for each event, to the end."""
    async for event in events:
        write(progress.add(event))


async def show_live(events: AsyncIterator[Event], progress: Progress, title: str, terminal: Console) -> None:
    """Show a table that changes with each event, to the end; what ran is left standing."""
    from rich.live import Live  # noqa: PLC0415 - only on a terminal

    render = _renderer(progress, clean(title))
    with Live(console=terminal, get_renderable=render, refresh_per_second=_REFRESH_PER_SECOND) as live:
        async for event in events:
            progress.add(event)
            live.refresh()


def _renderer(progress: Progress, title: str) -> Callable[[], RenderableType]:
    from rich.console import Group  # noqa: PLC0415 - only on a terminal
    from rich.spinner import Spinner  # noqa: PLC0415 - same
    from rich.table import Table  # noqa: PLC0415 - same
    from rich.text import Text  # noqa: PLC0415 - same

    spinner = Spinner("dots", style="cyan")

    def render() -> RenderableType:
        grid = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
        for step_id, step in progress.steps.items():
            mark = spinner if step.state == "SCHEDULED" else Text(_MARKS.get(step.state, " "))
            seconds = step.seconds(progress.now())
            grid.add_row(
                mark,
                Text(clean(step_id)),
                Text(step.state.lower(), style=state_style(step.state) or "dim"),
                Text(f"attempt {step.attempt}" if step.attempt > 1 else ""),
                Text("" if seconds is None else humanize_seconds(seconds), justify="right"),
                Text(clean(step.note), style="dim"),
            )
        heading = Text.assemble(title, "  ", (progress.state, state_style(progress.state)))
        return Group(heading, grid)

    return render


_MARKS: Final = {"COMPLETED": "✓", "FAILED": "✗", "CANCELLED": "-", "PENDING": "·"}
