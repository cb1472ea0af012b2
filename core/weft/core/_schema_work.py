"""How much work a schema makes of a value, before the work is begun.

A schema multiplies: a value is held against every branch of a combination, and
each branch may hold its members against several more. So for every level of a
value the bound is how many checks one value of that level may take; times the
number of values there it is the work of a whole value.

There are two such bounds. Whether a value fits is remembered by the validator
where a schema refers back to itself, once it went around twice: recursion costs
no more than two rounds of its parts. What is wrong with a value is not
remembered: there recursion multiplies with every level.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from weft.core._schema_gate import fault
from weft.core._schema_refs import follow
from weft.core.reasons import Rule

__all__ = ["Bounds", "bounds_of"]

MAX_SCHEMA_WORK: Final = 20_000
"""Upper bound of subschemas that one value may be held against, references unfolded."""
_MAX_ENTRIES: Final = 20_000
"""Upper bound of the places where a subschema applies, over all kinds of values."""
_MAX_CHAIN: Final = 100
"""References and combinations in a row that lead to one value."""
_LEVELS: Final = 33
"""Levels of a value: those of a payload, and what stands in the deepest."""
_LOOK_UP: Final = [1, *[0] * (_LEVELS - 1)]
_COMPARED: Final = 8
"""Checks that a pattern or one comparison of values counts as."""

_IN_PLACE = ("allOf", "anyOf", "oneOf")
_IN_PLACE_ONE = ("not", "if", "then", "else")
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_MEMBERS = ("propertyNames", "unevaluatedProperties")
_ITEMS = ("additionalItems", "contains", "unevaluatedItems")
_BARE = {"$ref", "title", "description", "default", "examples", "deprecated"}
_UNEVALUATED = ("unevaluatedProperties", "unevaluatedItems")


@dataclass(frozen=True, slots=True)
class Bounds:
    """Checks that one value may take, for each of its levels."""

    checks: tuple[int, ...]
    """To tell whether it fits."""
    errors: tuple[int, ...]
    """To tell what is wrong with it."""


@dataclass(slots=True)
class _Part:
    """A subschema with all that applies to the same value, and what it asks of members and items."""

    weight: int = 0
    extra: int = 0
    """Checks of every member or item beside those by subschemas."""
    members: dict[int, int] = field(default_factory=dict)
    others: dict[int, int] = field(default_factory=dict)
    names: dict[str | int, dict[int, int]] = field(default_factory=dict)
    items: dict[int, int] = field(default_factory=dict)
    places: dict[str | int, dict[int, int]] = field(default_factory=dict)

    def entries(self) -> Iterator[dict[int, int]]:
        yield from (self.members, self.others, self.items)
        yield from self.names.values()
        yield from self.places.values()


def bounds_of(definition: Mapping[str, Any], path: str) -> Bounds:
    """Return the bounds of a schema.

    Raises:
        ValidationError: It is too complex for one and the same value, or its
            references lead nowhere or back to themselves.
    """
    graph = _Graph(definition, path)
    parts = graph.parts
    root = id(definition)
    errors = _levels(parts, {})[root]
    back = _back_edges(parts, root)
    if not back:
        return Bounds(tuple(errors), tuple(errors))
    once = _levels(parts, dict.fromkeys(back, _LOOK_UP))
    twice = _levels(parts, {(key, target): once[target] for key, target in back})
    checks = twice[root]
    again = 0
    for level in range(_LEVELS):
        again += sum(twice[head][level] for head in {target for _, target in back})
        checks[level] += again
    return Bounds(tuple(checks), tuple(errors))


class _Graph:
    """The subschemas that apply to values, and what they lead to one level below."""

    def __init__(self, definition: Mapping[str, Any], path: str) -> None:
        self._root = definition
        self._path = path
        self._known: dict[int, dict[int, int]] = {}
        self._nodes: dict[int, Any] = {}
        self._entries = 0
        self.parts: dict[int, _Part] = {}
        pending: list[Any] = [definition]
        while pending:
            node = pending.pop()
            if id(node) not in self.parts:
                self.parts[id(node)] = part = self._part(node)
                pending.extend(self._nodes[key] for entry in part.entries() for key in entry)

    def _too_complex(self) -> Exception:
        return fault(
            self._path,
            f"references and combinations unfold to over {MAX_SCHEMA_WORK:,} checks of one value",
            Rule.SCHEMA_TOO_COMPLEX,
        )

    def _part(self, node: Any) -> _Part:
        part = _Part()
        closure = self._closure(node, [])
        unevaluated = False
        for key, count in closure.items():
            inner = self._nodes[key]
            part.weight += count * _weight(inner)
            if isinstance(inner, Mapping):
                self._lead(part, inner, count)
                unevaluated = unevaluated or not inner.keys().isdisjoint(_UNEVALUATED)
        part.extra += part.weight if unevaluated else 0
        self._entries += len(closure) + sum(map(len, part.entries()))
        if part.weight > MAX_SCHEMA_WORK * _COMPARED or self._entries > _MAX_ENTRIES:
            raise self._too_complex()
        return part

    def _closure(self, node: Any, chain: list[int]) -> dict[int, int]:
        """Return how often each subschema applies to the same value as the node itself."""
        key = id(node)
        if key in self._known:
            return self._known[key]
        if key in chain:
            raise fault(self._path, "a reference leads back to itself", Rule.SCHEMA_INVALID)
        if len(chain) > _MAX_CHAIN:
            raise self._too_complex()
        self._nodes[key] = node
        found = {key: 1}
        total = 1
        for child in self._in_place(node) if isinstance(node, Mapping) else ():
            for inner, count in self._closure(child, [*chain, key]).items():
                found[inner] = found.get(inner, 0) + count
                total += count
            if total > MAX_SCHEMA_WORK:
                raise self._too_complex()
        self._known[key] = found
        self._entries += len(found)
        if self._entries > _MAX_ENTRIES:
            raise self._too_complex()
        return found

    def _in_place(self, node: Mapping[str, Any]) -> Iterator[object]:
        for keyword in _IN_PLACE:
            if isinstance(node.get(keyword), list):
                yield from node[keyword]
        for keyword in _IN_PLACE_ONE:
            if keyword in node:
                yield node[keyword]
        for keyword in _REFERENCES:
            if isinstance(node.get(keyword), str):
                yield self._follow(node[keyword])
        for keyword in ("dependentSchemas", "dependencies"):
            if isinstance(node.get(keyword), Mapping):
                yield from (item for item in node[keyword].values() if _is_schema(item))

    def _follow(self, reference: str) -> object:
        try:
            return follow(self._root, reference)
        except LookupError:
            raise fault(
                self._path, f"the reference {reference[:120]!r} leads nowhere", Rule.SCHEMA_INVALID
            ) from None

    def _lead(self, part: _Part, node: Mapping[str, Any], count: int) -> None:
        """Note where a subschema leads to, one level below."""
        patterns = node.get("patternProperties")
        if isinstance(patterns, Mapping):
            part.extra += count * _COMPARED * len(patterns)
            for item in patterns.values():
                self._add(part.members, item, count)
        for keyword in _MEMBERS:
            self._add(part.members, node.get(keyword), count)
        self._add(part.others, node.get("additionalProperties"), count)
        properties = node.get("properties")
        for name, item in properties.items() if isinstance(properties, Mapping) else ():
            self._add(part.names.setdefault(name, {}), item, count)
            self._add(part.names[name], node.get("additionalProperties"), -count)
        for keyword in _ITEMS:
            self._add(part.items, node.get(keyword), count)
        for keyword in ("items", "prefixItems"):
            items = node.get(keyword)
            self._add(part.items, items, count)
            for place, item in enumerate(items if isinstance(items, list) else ()):
                self._add(part.places.setdefault(place, {}), item, count)

    def _add(self, target: dict[int, int], item: object, count: int) -> None:
        if isinstance(item, Mapping) and isinstance(item.get("$ref"), str) and not item.keys() - _BARE:
            item = self._follow(item["$ref"])  # all that refer to one schema are one part
        if _is_schema(item):
            self._nodes[id(item)] = item
            target[id(item)] = target.get(id(item), 0) + count


def _is_schema(item: object) -> bool:
    return isinstance(item, Mapping | bool)


def _is_uniform(members: list[Any]) -> bool:
    """Tell whether the validator looks a value up, rather than comparing it with every member."""
    return {type(member) for member in members} in ({str}, {int})


def _weight(node: object) -> int:
    """Return the checks of a subschema itself."""
    if not isinstance(node, Mapping):
        return 1
    weight = 1 + _COMPARED * (("pattern" in node) + ("const" in node))
    required = node.get("required")
    weight += len(required) if isinstance(required, list) else 0
    members = node.get("enum")
    if isinstance(members, list) and not _is_uniform(members):
        weight += _COMPARED * len(members)
    properties = node.get("properties")
    return weight + (len(properties) // 4 if isinstance(properties, Mapping) else 0)


_Edges = Mapping[tuple[int, int], list[int]]


def _levels(parts: Mapping[int, _Part], cut: _Edges) -> dict[int, list[int]]:
    """Return for each subschema the checks of one value on each level below; ``cut`` has edges' own."""
    found = {key: [part.weight] for key, part in parts.items()}
    for level in range(_LEVELS - 1):
        now = {key: levels[level] for key, levels in found.items()}
        special = {edge: levels[level] for edge, levels in cut.items()}
        for key, part in parts.items():
            extra = part.extra if level == 0 else 0
            found[key].append(extra + _below(key, part, now, special))
        if not any(now.values()):
            return {key: levels + [0] * (_LEVELS - len(levels)) for key, levels in found.items()}
    return found


def _below(key: int, part: _Part, now: Mapping[int, int], special: Mapping[tuple[int, int], int]) -> int:
    def total(entry: dict[int, int]) -> int:
        return sum(count * special.get((key, target), now[target]) for target, count in entry.items())

    names = max(0, max(map(total, part.names.values()), default=0))
    places = max(map(total, part.places.values()), default=0)
    return max(total(part.members) + total(part.others) + names, total(part.items) + places)


def _back_edges(parts: Mapping[int, _Part], root: int) -> set[tuple[int, int]]:
    """Return where a schema leads back to what it is part of."""
    found: set[tuple[int, int]] = set()
    done: set[int] = set()
    chain = {root}
    stack = [(root, _targets(parts[root]))]
    while stack:
        key, targets = stack[-1]
        target = next(targets, None)
        if target is None:
            stack.pop()
            chain.discard(key)
            done.add(key)
        elif target in chain:
            found.add((key, target))
        elif target not in done:
            chain.add(target)
            stack.append((target, _targets(parts[target])))
    return found


def _targets(part: _Part) -> Iterator[int]:
    return (key for entry in part.entries() for key in entry)
