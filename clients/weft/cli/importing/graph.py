"""Orders of vertices that lead to each other, and where they go round in circles."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Unit", "order"]

Edges = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One vertex, or several that go round in a circle."""

    head: str
    """Where it is entered."""
    members: tuple[str, ...]
    """All of them, the head first."""
    repeats: bool
    """Whether it leads back to itself."""


def order(edges: Edges, entry: str, within: Collection[str], back_to: str = "") -> list[Unit]:
    """Return what the entry leads to, each unit before those that it leads to.

    Args:
        edges: Where each vertex leads.
        entry: Where to begin.
        within: Only these vertices count.
        back_to: Ways to this one do not count.
    """
    allowed = set(within)
    ways = {name: [to for to in edges[name] if to in allowed and to != back_to] for name in allowed}
    found = _components(ways, entry)
    at = {name: index for index, name in enumerate(_preorder(ways, entry))}
    return [_unit(members, ways, at) for members in reversed(found)]


def _unit(members: list[str], ways: Edges, at: Mapping[str, int]) -> Unit:
    ordered = sorted(members, key=at.__getitem__)
    head = ordered[0]
    return Unit(head=head, members=tuple(ordered), repeats=len(ordered) > 1 or head in ways[head])


def _preorder(ways: Edges, entry: str) -> list[str]:
    seen: dict[str, None] = {}
    waiting = [entry]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen[name] = None
            waiting.extend(reversed(ways[name]))
    return list(seen)


def _components(ways: Edges, entry: str) -> list[list[str]]:
    """Find strongly connected components (Tarjan's way, without recursion), last ones first."""
    index: dict[str, int] = {entry: 0}
    low = {entry: 0}
    stack, on_stack = [entry], {entry}
    work = [(entry, iter(_later_first(ways[entry])))]
    found: list[list[str]] = []
    while work:
        name, following = work[-1]
        for to in following:
            if to not in index:
                index[to] = low[to] = len(index)
                stack.append(to)
                on_stack.add(to)
                work.append((to, iter(_later_first(ways[to]))))
                break
            if to in on_stack:
                low[name] = min(low[name], index[to])
        else:
            work.pop()
            if work:
                low[work[-1][0]] = min(low[work[-1][0]], low[name])
            if low[name] == index[name]:
                found.append(_popped(stack, on_stack, name))
    return found


def _later_first(names: Sequence[str]) -> list[str]:
    """Go to the last one first, so that the first one comes first in the end."""
    return list(reversed(names))


def _popped(stack: list[str], on_stack: set[str], until: str) -> list[str]:
    members: list[str] = []
    while True:
        name = stack.pop()
        on_stack.discard(name)
        members.append(name)
        if name == until:
            return members
