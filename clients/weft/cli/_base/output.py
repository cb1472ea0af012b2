"""What goes to stdout: documents for programs, tables for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from weft.cli._base.session import Output, Settings
from weft.cli._base.text import clean, shorten

if TYPE_CHECKING:
    from rich.console import Console

    from weft.client import Page
    from weft.client.records import Record

__all__ = [
    "STATE_STYLES",
    "clean",
    "compact",
    "console",
    "document",
    "done",
    "fields",
    "fitting",
    "line",
    "note",
    "page",
    "pretty",
    "record",
    "state_style",
    "stream_item",
    "table",
]

T = TypeVar("T")

_MAX_CELL: Final = 200
_GAP: Final = 2

STATE_STYLES: Final[Mapping[str, str]] = {
    "ACTIVE": "green",
    "COMPLETED": "green",
    "HEALTHY": "green",
    "PASSING": "green",
    "SERVING": "green",
    "SUCCEEDED": "green",
    "OK": "green",
    "CREATED": "green",
    "RUNNING": "cyan",
    "SCHEDULED": "cyan",
    "UPDATED": "cyan",
    "DEPRECATED": "yellow",
    "DEGRADED": "yellow",
    "WARNING": "yellow",
    "WARN": "yellow",
    "DRAINING": "yellow",
    "CANCELLED": "yellow",
    "PAUSED": "yellow",
    "RETRYING": "yellow",
    "SKIPPED": "yellow",
    "INACTIVE": "dim",
    "PENDING": "dim",
    "UNCHANGED": "dim",
    "INCIDENT": "red",
    "FAILED": "red",
    "FAIL": "red",
    "TIMED_OUT": "red",
    "UNHEALTHY": "red",
    "CRITICAL": "red",
    "ERROR": "red",
    "NOT_SERVING": "red",
}
"""Colours of states, on terminals that have some."""


def state_style(text: str) -> str:
    """Return the style of a state's name; other texts have none."""
    return STATE_STYLES.get(text.upper(), "")


def document(settings: Settings, value: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
    """Write one document for a program."""
    if settings.output is Output.YAML:
        _write(_yaml(value))
    else:
        _write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def stream_item(settings: Settings, value: Mapping[str, Any]) -> None:
    """Write one of many documents at once: a line of JSON, or a YAML document."""
    if settings.output is Output.YAML:
        _write("---\n" + _yaml(value))
    else:
        _write(json.dumps(value, ensure_ascii=False) + "\n")


def pretty(settings: Settings, value: Mapping[str, Any]) -> None:
    """Write a result: JSON in every form but YAML, in colours on a terminal."""
    if settings.on_terminal:
        console(settings).print_json(json.dumps(value, ensure_ascii=False), ensure_ascii=False)
    else:
        document(settings, value)


def _yaml(value: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> str:
    import yaml  # noqa: PLC0415 - only for those who want YAML

    text: str = yaml.safe_dump(json.loads(json.dumps(value)), sort_keys=False, allow_unicode=True)
    return text


def table(
    settings: Settings,
    titles: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    whole: Collection[str] = (),
    spare: Sequence[str] = (),
) -> None:
    """Write a table: framed by space only, so that it can be cut and grepped when it is piped.

    Args:
        settings: How to print.
        titles: One of each column.
        rows: Their cells.
        whole: Titles of columns that are never wrapped: what is in them will be copied.
        spare: Titles of columns that a terminal too narrow for all goes without, in this order.
    """
    cells = [[shorten(clean("" if cell is None else cell), _MAX_CELL) for cell in row] for row in rows]
    if settings.on_terminal:
        _rich_table(settings, titles, cells, whole, spare)
        return
    widths = [max(map(len, column)) for column in zip(titles, *cells, strict=True)]
    for row in (titles, *cells):
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        _write("  ".join(padded).rstrip() + "\n")


def _rich_table(
    settings: Settings,
    titles: Sequence[str],
    rows: list[list[str]],
    whole: Collection[str],
    spare: Sequence[str],
) -> None:
    from rich.cells import cell_len  # noqa: PLC0415 - only on a terminal
    from rich.table import Table  # noqa: PLC0415 - same
    from rich.text import Text  # noqa: PLC0415 - same

    terminal = console(settings)
    widths = [max(map(cell_len, column)) for column in zip(titles, *rows, strict=True)]
    kept = fitting(titles, widths, terminal.width, spare)
    grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for index in kept:
        title, fixed = titles[index], titles[index] in whole
        least = widths[index] if fixed else None
        grid.add_column(title, overflow="fold", no_wrap=fixed, min_width=least)
    for row in rows:
        grid.add_row(*(Text(row[index], style=state_style(row[index])) for index in kept))
    terminal.print(grid)


def fitting(titles: Sequence[str], widths: Sequence[int], width: int, spare: Sequence[str]) -> list[int]:
    """Return which columns to show: without as many of the spare ones as it takes to fit the width."""
    kept = list(range(len(titles)))
    for title in spare:
        if sum(widths[index] + _GAP for index in kept) - _GAP <= width:
            break
        kept.remove(titles.index(title))
    return kept


def fields(settings: Settings, pairs: Iterable[tuple[str, object]]) -> None:
    """Write what is known of one thing, a line for each; empty values are left out."""
    texts = [(name, clean("" if value is None else value)) for name, value in pairs]
    known = [(name, text) for name, text in texts if text]
    width = max((len(name) for name, _ in known), default=0)
    for name, value in known:
        line(settings, f"{name + ':':<{width + 1}} ", value)


def line(settings: Settings, label: str, text: str = "", *, style: str = "") -> None:
    """Write one line, its text in a style where there are colours."""
    if not settings.on_terminal:
        _write(f"{label}{text}\n")
        return
    from rich.text import Text  # noqa: PLC0415 - only on a terminal

    console(settings).print(
        Text.assemble((label, "bold"), (text, style or state_style(text))), soft_wrap=True
    )


def record(settings: Settings, value: Record, label: str, text: str) -> None:
    """Write what a change made: the record for a program, one line for a person."""
    if settings.for_people:
        line(settings, label, text)
    else:
        document(settings, value.to_dict())


def done(settings: Settings, name: str, what: str) -> None:
    """Write that something is gone, of which no record is left."""
    if settings.for_people:
        line(settings, f"{clean(name)} ", what)
    else:
        document(settings, {"name": name, "outcome": what})


def page(
    settings: Settings,
    found: Page[T],
    titles: Sequence[str],
    row: Callable[[T], Sequence[object]],
    *,
    spare: Sequence[str] = (),
) -> None:
    """Write one page of a list, and on stderr how to see the next; the first column is never wrapped."""
    if found.unreachable:
        names = ", ".join(map(clean, found.unreachable))
        note(f"Not listed, as only servers of a newer release can read them: {names}")
    if not settings.for_people:
        document(settings, found.to_dict())
        return
    table(settings, titles, map(row, found.items), whole=titles[:1], spare=spare)
    if found.next_page_token:
        more = " or more" if found.total_size_is_minimum else ""
        shown = f"{len(found.items)} of {found.total_size:,}{more}"
        note(f"{shown} shown; for more: --limit N, or --page-token {clean(found.next_page_token)}")
    elif not found.items and not found.unreachable:
        note("Nothing found.")


def compact(value: Mapping[str, Any] | None) -> str:
    """Return an object as JSON on one line; nothing of an empty one."""
    return json.dumps(value, ensure_ascii=False) if value else ""


def note(text: str) -> None:
    """Say something on stderr that is not the result."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def console(settings: Settings, *, stderr: bool = False) -> Console:
    """Return the terminal, without colours where they are not wanted."""
    from rich.console import Console  # noqa: PLC0415 - only on a terminal

    return Console(no_color=not settings.color, stderr=stderr, highlight=False, emoji=False, markup=False)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
