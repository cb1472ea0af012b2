"""How much work an expression may be, before it is evaluated.

The library evaluates to the end, whatever it takes, and it holds the
interpreter while it does. Comprehensions multiply: ``[s].map(x, x + x)`` thirty
times in a row makes a gigabyte from one letter, and ``map`` and ``filter`` copy
their result once for every element. So the work is bounded first, from the text
and the sizes of the values it mentions.

The bound of a comprehension uses that the elements of a list add up to no more
than the list: with ``p(x)`` the work of the body over an element of size ``x``,
the sum over ``count`` elements of a list of size ``n`` is at most
``count * p(0) + p(n) - p(0)``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from weft.server.workflow.expressions.syntax import Call, Group, Literal, Macro, Mention, Node

__all__ = ["MAX_NESTING", "MAX_WORK", "bound", "calls", "is_risky", "mentions", "nesting", "size_of"]

MAX_WORK: Final = 20_000_000
"""Work that one rendering may be: about a second. One is a value copied, some 60 ns."""
MAX_NESTING: Final = 2
"""Comprehensions within comprehensions, counted from 1."""

_CEILING: Final = 2 * MAX_WORK
"""Where counting stops, so that the numbers themselves stay small."""
_NODE: Final = 16
"""Work of evaluating one name, literal or call."""
_MANY_MENTIONS: Final = 4
"""Over this, putting values together may copy much without a comprehension."""
_CHARACTERS: Final = 16
"""Characters of a text that count as one value."""
_MAX_PATTERN_WORK: Final = 750_000
"""The library refuses a compiled pattern over 10 MB, which takes about 50 ms."""
_ATOM: Final = re.compile(r"(\\+[wWdDsSpPbB]|\[\^|\(\?|\.|[)\]]|[^{])(?:\{(\d+)(?:,(\d*))?\})?")
_ESCAPES: Final = re.compile(r"\\+[xXuU0-7]")

_CLASS_WORK: Final = {"d": 350, "s": 100, "b": 50, "^": 350, "?": 350}

Sizes = Callable[[Mention], tuple[int, int]]


@dataclass(frozen=True, slots=True)
class _Bound:
    """At most how large a value is, how many elements it has, and the work of making it."""

    size: int
    count: int
    work: int

    def __add__(self, other: _Bound) -> _Bound:
        return _Bound(self.size + other.size, self.count + other.count, self.work + other.work)

    def capped(self) -> _Bound:
        return _Bound(min(self.size, _CEILING), min(self.count, _CEILING), min(self.work, _CEILING))


_NOTHING: Final = _Bound(0, 0, 0)


def mentions(group: Group, hidden: frozenset[str] = frozenset()) -> Iterator[Mention]:
    """Yield the variables that an expression uses, save those that its comprehensions bring."""
    for chain in group.chains:
        for node in chain:
            match node:
                case Mention():
                    if node.root not in hidden:
                        yield node
                case Group():
                    yield from mentions(node, hidden)
                case Call():
                    yield from mentions(node.arguments, hidden)
                case Macro():
                    yield from mentions(node.body, hidden | {node.variable})
                case _:
                    pass


def _nodes(group: Group) -> Iterator[Node]:
    for chain in group.chains:
        yield from chain


def _inner(node: Node) -> Group | None:
    match node:
        case Group():
            return node
        case Call():
            return node.arguments
        case Macro():
            return node.body
        case _:
            return None


def nesting(group: Group) -> int:
    """Return how deep comprehensions stand within each other."""
    deepest = 0
    for node in _nodes(group):
        inner = _inner(node)
        if inner is not None:
            deepest = max(deepest, nesting(inner) + isinstance(node, Macro))
    return deepest


def calls(group: Group) -> Iterator[str]:
    """Yield the names of the functions that an expression calls."""
    for node in _nodes(group):
        if isinstance(node, Call):
            yield node.name
        inner = _inner(node)
        if inner is not None:
            yield from calls(inner)


def is_risky(group: Group) -> bool:
    """Tell whether an expression can be more work than reading what it mentions."""
    return (
        nesting(group) > 0
        or _adds(group)
        or "matches" in calls(group)
        or sum(1 for _ in mentions(group)) > _MANY_MENTIONS
    )


def _adds(group: Group) -> bool:
    """Tell whether values are added up: every sum is a new copy of what is there so far."""
    inner = (_inner(node) for node in _nodes(group))
    return "+" in group.operators or any(_adds(each) for each in inner if each is not None)


def bound(group: Group, sizes: Sizes) -> int:
    """Return an upper bound of the work; ``sizes`` tells size and length of what is mentioned."""
    return _of_group(group, sizes, {}).work


def _of_group(group: Group, sizes: Sizes, elements: Mapping[str, int]) -> _Bound:
    total = _NOTHING
    for chain in group.chains:
        value = _Bound(0, 0, total.size)  # adding up copies what is there so far
        for node in chain:
            value = _extend(value, node, sizes, elements).capped()
        total += value
    return total.capped()


def _extend(value: _Bound, node: Node, sizes: Sizes, elements: Mapping[str, int]) -> _Bound:
    """Return the bound of a chain with one more node; of what is taken out of it, little is known."""
    match node:
        case Literal():
            return value + _Bound(1 + len(node.text) // _CHARACTERS, 1, _NODE)
        case Mention():
            known = elements.get(node.root)
            size, count = sizes(node) if known is None else (known, known)
            return value + _Bound(size, count, _NODE + size)
        case Macro():
            return _of_macro(value, node, sizes, elements)
        case Group() | Call():
            inner = _of_group(node if isinstance(node, Group) else node.arguments, sizes, elements)
            grown = value + inner + _Bound(1, 1, _NODE + _call_work(node))
            opens = not value.size and isinstance(node, Group)
            return grown if opens else _Bound(grown.size, grown.size, grown.work)


def _of_macro(value: _Bound, macro: Macro, sizes: Sizes, elements: Mapping[str, int]) -> _Bound:
    least = _of_group(macro.body, sizes, {**elements, macro.variable: 0})
    whole = _of_group(macro.body, sizes, {**elements, macro.variable: value.size})
    work = value.work + value.count * (_NODE + least.work) + whole.work - least.work
    if macro.name not in {"map", "filter"}:
        return _Bound(1, 1, work)
    size = value.size
    if macro.name == "map":
        size = value.count * (1 + least.size) + whole.size - least.size
    return _Bound(size, value.count, work + size + value.count * size // 2)


def _call_work(node: Group | Call) -> int:
    """Return the work of compiling a pattern, which is done anew for every call."""
    if not isinstance(node, Call) or node.name != "matches":
        return 0
    only = _last_argument(node.arguments.chains)
    if not isinstance(only, Literal) or _ESCAPES.search(only.text):
        return _MAX_PATTERN_WORK
    work, factor = 0, 1
    for atom, low, high in _ATOM.findall(only.text):
        times = max(1, min(_MAX_PATTERN_WORK, int((high or low or "1")[:9])))
        if atom in {")", "]"}:
            factor = min(_MAX_PATTERN_WORK, factor * times)
        else:
            work += _atom_work(atom) * times
    return min(_MAX_PATTERN_WORK, work * factor)


def _atom_work(atom: str) -> int:
    """Return the work of one piece of a pattern; classes of Unicode characters are large."""
    if len(atom) == 1:
        return 50 if atom == "." else _NODE
    return _CLASS_WORK.get(atom[-1], 3_500)


def _last_argument(chains: list[list[Node]]) -> Node | None:
    """Return what the last of one or two arguments is, when it is a single value."""
    alone = len(chains) == 1 or (len(chains) == 3 and not chains[1])
    return chains[-1][0] if alone and len(chains[-1]) == 1 else None


def size_of(value: Any, limit: int = MAX_WORK) -> int:
    """Count the values within a value; a long text counts as several. Stops above the limit."""
    total = 0
    pending = [value]
    while pending and total <= limit:
        item = pending.pop()
        total += 1
        if isinstance(item, str):
            total += len(item) // _CHARACTERS
        elif isinstance(item, dict):
            total += len(item)
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)
    return total
