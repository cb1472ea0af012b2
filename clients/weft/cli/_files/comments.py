"""Comments and blank lines of YAML: which member each belongs to, so that they move along with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import yaml

__all__ = ["Comments", "Path", "read_comments"]

Path: TypeAlias = tuple[str | int, ...]
"""Keys and numbers from the document down to a member."""


@dataclass(slots=True)
class Comments:
    """Those of one document."""

    head: list[str] = field(default_factory=list)
    """Before everything; an empty text is a blank line."""
    before: dict[Path, list[str]] = field(default_factory=dict)
    """On lines of their own before a member."""
    beside: dict[Path, str] = field(default_factory=dict)
    """Behind a member, on its line."""
    tail: list[str] = field(default_factory=list)
    """After everything."""

    def moved_to(self, paths: set[Path]) -> None:
        """Give what belongs to a member that is not written to the one around it."""
        for path in [path for path in self.before if path not in paths]:
            self._to_parent(path, self.before.pop(path), paths)
        for path in [path for path in self.beside if path not in paths]:
            self._to_parent(path, [self.beside.pop(path)], paths)

    def _to_parent(self, path: Path, lines: list[str], paths: set[Path]) -> None:
        kept = [line for line in lines if line]
        while path and path not in paths:
            path = path[:-1]
        target = self.before.setdefault(path, []) if path else self.head
        target.extend(kept)


@dataclass(frozen=True, slots=True)
class _Entry:
    """Where a member begins."""

    path: Path
    start: int
    line: int


def read_comments(text: str, loader: Any) -> list[Comments]:
    """Return the comments of every document of a text that can be read."""
    roots = list(yaml.compose_all(text, Loader=loader))
    found = [Comments() for _ in roots]
    entries = [list(_entries(root)) for root in roots]
    scan = _Scan(entries, sorted(span for root in roots for span in _scalars(root)))
    offset = 0
    for number, line in enumerate(text.split("\n")):
        scan.line(number, offset, line.rstrip("\r"), found)
        offset += len(line) + 1
    scan.close(found)
    return found


def _entries(root: yaml.Node) -> Iterator[_Entry]:
    pending: list[tuple[Path, yaml.Node]] = [((), root)]
    while pending:
        path, node = pending.pop()
        inner: list[tuple[Path, yaml.Node]] = []
        for part, mark, value in _members(node):
            yield _Entry((*path, part), mark.index, mark.line)
            inner.append(((*path, part), value))
        pending.extend(inner)


def _members(node: yaml.Node) -> Iterator[tuple[str | int, Any, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        yield from ((key.value, key.start_mark, value) for key, value in node.value)
    elif isinstance(node, yaml.SequenceNode):
        yield from ((number, item.start_mark, item) for number, item in enumerate(node.value))


def _scalars(root: yaml.Node) -> Iterator[tuple[int, int]]:
    pending = [root]
    while pending:
        node = pending.pop()
        if isinstance(node, yaml.ScalarNode):
            yield node.start_mark.index, node.end_mark.index
        elif isinstance(node, yaml.MappingNode):
            pending.extend(part for pair in node.value for part in pair)
        else:
            pending.extend(node.value)


_MARKER: Final = "---"


class _Scan:
    """Goes through the lines once; knows what it has seen since the last member."""

    def __init__(self, documents: list[list[_Entry]], scalars: Sequence[tuple[int, int]]) -> None:
        self._documents = [
            sorted(entries, key=lambda entry: (entry.start, len(entry.path))) for entries in documents
        ]
        self._scalars = scalars
        self._scalar = 0
        self._document = 0
        self._next = 0
        self._pending: list[str] = []

    def line(self, number: int, offset: int, line: str, found: list[Comments]) -> None:
        """Take the next line."""
        inside = self._is_text(offset)
        if line.startswith(_MARKER) and not inside and self._next:
            self.close(found)
            self._document, self._next = self._document + 1, 0
        comment = self._comment(offset, line)
        before = line[: len(line) - len(comment)].strip() if comment else line.strip()
        began = self._take_entries(number, found)
        if comment and before and not before.startswith(_MARKER) and self._next:
            last = self._documents[self._document][self._next - 1]
            found[self._document].beside[last.path] = comment
        elif comment:
            self._pending.append(comment)
        elif not before and not inside and not began:
            self._pending.append("")

    def close(self, found: list[Comments]) -> None:
        """End the document; what is left stands after everything."""
        if self._document < len(found):
            found[self._document].tail.extend(line for line in self._pending if line)
        self._pending = []

    def _take_entries(self, number: int, found: list[Comments]) -> bool:
        entries = self._documents[self._document] if self._document < len(self._documents) else []
        began = False
        while self._next < len(entries) and entries[self._next].line <= number:
            if self._pending:
                self._give(entries[self._next], found[self._document])
            began, self._next = True, self._next + 1
        return began

    def _give(self, entry: _Entry, comments: Comments) -> None:
        if self._next == 0:
            comments.head.extend(self._pending)
        else:
            comments.before[entry.path] = self._pending
        self._pending = []

    def _is_text(self, index: int) -> bool:
        """Tell whether a place is inside of a scalar; places only grow."""
        while self._scalar < len(self._scalars) and self._scalars[self._scalar][1] <= index:
            self._scalar += 1
        return self._scalar < len(self._scalars) and self._scalars[self._scalar][0] < index

    def _comment(self, offset: int, line: str) -> str:
        for column, character in enumerate(line):
            if character != "#" or (column and line[column - 1] not in " \t"):
                continue
            if not self._is_text(offset + column):
                return line[column:].rstrip()
        return ""
