"""Shows the events of an execution as they come: as lines, or as a live table on a terminal."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Final

from weft.cli._base.output import state_style
from weft.cli._base.text import clean, humanize_seconds
from weft.cli._following.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from weft.client import Event

__all__ = ["renderer", "show_lines", "show_live"]

_REFRESH_PER_SECOND: Final = 8

Advise = Callable[["Event"], str]
"""Returns what a person can do about an event; mostly nothing."""


async def show_lines(
    events: AsyncIterator[Event], progress: Progress, write: Callable[[str], None], advise: Advise
) -> None:
    """Write a line for each event, to the end."""
    async for event in events:
        write(progress.add(event))
        if text := advise(event):
            write(text)


async def show_live(
    events: AsyncIterator[Event], progress: Progress, title: str, terminal: Console, advise: Advise
) -> None:
    """Show a table that changes with each event, to the end; what ran is left standing."""
    from rich.live import Live  # noqa: PLC0415 - only on a terminal

    render = renderer(progress, clean(title))
    with Live(console=terminal, get_renderable=render, refresh_per_second=_REFRESH_PER_SECOND) as live:
        async for event in events:
            progress.add(event)
            if text := advise(event):
                terminal.print(text, soft_wrap=True)
            live.refresh()


def renderer(progress: Progress, title: str) -> Callable[[], RenderableType]:
    """Return what draws the table as it stands."""
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


_MARKS: Final = {
    "COMPLETED": "✓",
    "FAILED": "✗",
    "CANCELLED": "-",
    "PENDING": "·",
    "RETRYING": "↻",
    "INCIDENT": "!",
    "WAITING": "…",
    "OPEN": "▸",
}
