"""Progress as a person sees it: a live table on a terminal, a line per event elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from examples.document_pipeline._runs import DocumentRun, StepState

__all__ = ["Progress"]

_MARKS = {
    StepState.WAITING: Text("·", style="dim"),
    StepState.COMPLETED: Text("✓", style="green"),
    StepState.FAILED: Text("✗", style="bold red"),
}


class Progress:
    """Shows how far every document is.

    Args:
        console: Where to show it.
        runs: The documents, in the order to show them.
        started: When the program began, by `time.perf_counter`.
    """

    def __init__(self, console: Console, runs: Sequence[DocumentRun], started: float) -> None:
        self._console = console
        self._runs = runs
        self._started = started
        self._spinner = Spinner("dots", style="cyan")
        self._live = Live(console=console, get_renderable=self._table, refresh_per_second=12)

    def shown(self) -> AbstractContextManager[object]:
        """Show it for as long as the block lasts."""
        return self._live if self._console.is_terminal else nullcontext()

    def note(self, text: str) -> None:
        """Say something about the run as a whole."""
        self._line(Text(text))

    def event(self, run: DocumentRun, text: str) -> None:
        """Say what happened to one document; the live table shows it by itself."""
        if not self._console.is_terminal:
            self._line(Text(f"{run.name}: {text}"))

    def _line(self, text: Text) -> None:
        elapsed = Text(f"[{time.perf_counter() - self._started:6.2f} s] ", style="dim")
        self._console.print(elapsed + text, soft_wrap=True)

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False)
        table.add_column("document")
        for step in self._runs[0].steps:
            table.add_column(step, justify="center")
        table.add_column("time", justify="right")
        for run in self._runs:
            marks = [_MARKS.get(state, self._spinner) for state in run.steps.values()]
            table.add_row(run.name, *marks, f"{run.seconds * 1000:.0f} ms" if run.ended else "")
        return table
