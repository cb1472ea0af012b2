"""Documents as YAML in one form: block style, short lists on one line, quotes where they are needed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from weft.cli._files.comments import Comments, Path

__all__ = ["write_document"]

_WIDTH: Final = 100
_BEGINNING: Final = re.compile(r"[A-Za-z_$(/<=^~+.\u00a1-\uffff]")
"""With what text without quotes begins."""
_SPAN: Final = re.compile(r"(?:[0-9]+(?:ms|s|m|h|d))+")
_OTHER_TYPES: Final = re.compile(
    r"~|null|true|false|yes|no|on|off|<<|=|[+.]?[0-9].*|[+-]?\.(?:inf|nan)|\.\.\..*", re.IGNORECASE
)
"""Texts that some reader of YAML takes for something else."""


def write_document(value: Mapping[str, Any], comments: Comments) -> str:
    """Write an object, with the comments that belong to it; some go where their member has gone."""
    comments.moved_to(set(_paths(value)))
    lines = [*_trimmed(comments.head), *_block(value, 0, (), comments), *comments.tail]
    return "\n".join(lines) + "\n"


def _paths(value: object, path: Path = ()) -> Iterator[Path]:
    pending: list[tuple[Path, object]] = [(path, value)]
    while pending:
        path, item = pending.pop()
        yield path
        pairs = (
            item.items() if isinstance(item, Mapping) else enumerate(item) if isinstance(item, list) else ()
        )
        pending.extend(((*path, part), inner) for part, inner in pairs)


def _trimmed(lines: list[str]) -> list[str]:
    """Return lines with no blank one first, and never two together."""
    found: list[str] = []
    for line in lines:
        if line or (found and found[-1]):
            found.append(line)
    return found


def _block(value: object, indent: int, path: Path, comments: Comments) -> Iterator[str]:
    pad = "  " * indent
    first = True
    for part, item in value.items() if isinstance(value, Mapping) else enumerate(_as_list(value)):
        inner = (*path, part)
        yield from _before(comments.before.get(inner, []), pad, first=first and not path)
        first = False
        beside = f"  {comments.beside[inner]}" if inner in comments.beside else ""
        yield from _item(part, item, indent, inner, comments, beside)


def _as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _before(lines: list[str], pad: str, *, first: bool) -> Iterator[str]:
    blank = first
    for line in lines:
        if line or not blank:
            yield pad + line if line else ""
        blank = not line


def _item(
    part: str | int, item: object, indent: int, path: Path, comments: Comments, beside: str
) -> Iterator[str]:
    """Write one member: on its line, or below it."""
    pad = "  " * indent
    head = f"{pad}-" if isinstance(part, int) else f"{pad}{_scalar(part, 0)}:"
    flow = _flow(item, path, comments, _WIDTH - len(head))
    if flow is not None:
        yield f"{head} {flow}{beside}"
    elif isinstance(item, str):
        yield from _literal(head, item, indent, beside)
    elif isinstance(part, int) and isinstance(item, Mapping) and not beside:
        yield from _joined(pad, _block(item, indent + 1, path, comments))
    else:
        yield f"{head}{beside}"
        yield from _block(item, indent + 1, path, comments)


def _joined(pad: str, lines: Iterator[str]) -> Iterator[str]:
    """Put the dash of a list before the first line that is no comment."""
    dashed = False
    for line in lines:
        text = line.strip()
        if dashed or not text or text.startswith("#"):
            yield line if dashed else f"{pad}{text}".rstrip()
        else:
            yield f"{pad}- {text}"
            dashed = True


def _literal(head: str, text: str, indent: int, beside: str) -> Iterator[str]:
    chomping = "" if text.endswith("\n") else "-"
    yield f"{head} |{chomping}{beside}"
    pad = "  " * (indent + 1)
    for line in text.removesuffix("\n").split("\n"):
        yield f"{pad}{line}" if line else ""


def _flow(item: object, path: Path, comments: Comments, room: int) -> str | None:
    """Return what fits on one line; None for what is written below."""
    if isinstance(item, Mapping):
        return None if item else "{}"
    if isinstance(item, list):
        return _flow_list(item, path, comments, room)
    if isinstance(item, str) and _is_block(item):
        return None
    return _scalar(item, 0)


def _flow_list(items: list[Any], path: Path, comments: Comments, room: int) -> str | None:
    if not items:
        return "[]"
    inner = [(*path, number) for number in range(len(items))]
    if any(isinstance(item, Mapping | list) for item in items) or any(
        place in comments.before or place in comments.beside for place in inner
    ):
        return None
    text = f"[{', '.join(_scalar(item, 1) for item in items)}]"
    return text if len(text) <= room else None


def _is_block(text: str) -> bool:
    """Tell whether text is written as a literal block: several lines, all of them as they are."""
    lines = text.removesuffix("\n").split("\n")
    return (
        len(lines) > 1
        and not text.endswith("\n\n")
        and bool(lines[0].strip())
        and bool(lines[-1])
        and not text.startswith(" ")
        and all(line.isprintable() and line == line.rstrip() for line in lines)
    )


def _scalar(item: object, depth: int) -> str:
    if isinstance(item, str):
        return item if _is_plain(item, in_list=depth > 0) else _quoted(item)
    return json.dumps(item)


def _quoted(text: str) -> str:
    return '"' + "".join(_ESCAPES.get(it) or (it if it.isprintable() else _code(it)) for it in text) + '"'


def _code(character: str) -> str:
    return f"\\U{ord(character):08x}"


_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def _is_plain(text: str, *, in_list: bool) -> bool:
    if _SPAN.fullmatch(text):
        return True
    if not _BEGINNING.match(text) or not text.isprintable() or _OTHER_TYPES.fullmatch(text):
        return False
    if ": " in text or " #" in text or text.endswith((":", " ")) or text != text.strip():
        return False
    return not (in_list and re.search(r"[\[\]{},]", text))
