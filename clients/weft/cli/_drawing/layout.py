"""Where everything of a graph stands: layers from top to bottom, lists of steps as boxes in their step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, TypeAlias

from weft.cli._drawing.graph import Edge, Graph, Node

__all__ = ["TITLE", "Area", "Box", "Line", "Point", "arranged", "side_by_side"]

Point: TypeAlias = tuple[float, float]

TITLE: Final = 40
"""The height of a box with two lines of text."""
_GAP: Final = 28
"""Between two boxes of one layer, and around what is inside of one."""
_LAYER: Final = 44
"""Between two layers; an edge has its label there."""
_ROUND: Final = 16
_LETTER: Final = 6.8
_NARROW: Final = 12


@dataclass(slots=True)
class Box:
    """A step, and where it stands in its area."""

    node: Node
    """Which step."""
    width: float
    """How wide it is."""
    height: float
    """How high it is."""
    inside: list[Area] = field(default_factory=list)
    """The lists of steps in it, each with its place."""
    x: float = 0
    """Its left side."""
    y: float = 0
    """Its upper side."""


@dataclass(slots=True)
class Line:
    """An edge, and the points through which it goes."""

    edge: Edge
    """Which edge."""
    points: list[Point]
    """From the lower side of one box to the upper side of another."""


@dataclass(slots=True)
class Area:
    """A list of steps, arranged."""

    graph: Graph
    """Which list."""
    width: float = 0
    """How wide it is."""
    height: float = 0
    """How high it is."""
    boxes: list[Box] = field(default_factory=list)
    """Its steps."""
    lines: list[Line] = field(default_factory=list)
    """Its edges."""
    x: float = 0
    """Its left side, in the box around it."""
    y: float = 0
    """Its upper side, in the box around it."""


def arranged(graph: Graph) -> Area:
    """Arrange a list of steps, with all that is inside of them."""
    boxes = {node.id: _box(node) for node in graph.nodes}
    layers = _layers(graph)
    rows, chains = _rows(graph, layers, boxes)
    area = Area(graph, boxes=list(boxes.values()))
    area.width = max((_row_width(row) for row in rows), default=0)
    area.height = _place(rows, area.width)
    area.lines = [Line(edge, _points(chain)) for edge, chain in chains if len(chain) > 1]
    return area


def side_by_side(areas: Sequence[Area], top: float) -> Point:
    """Place areas beside each other; return how wide and high they are together, with space around."""
    left: float = _GAP / 2
    for area in areas:
        head = _ROUND if area.graph.label else 0
        area.x, area.y = left, top + head
        left += max(area.width, _text_width(area.graph.label)) + _GAP
    bottom = max((area.y + area.height for area in areas), default=top)
    return left - _GAP / 2, bottom + _GAP / 2


def _box(node: Node) -> Box:
    if node.kind in {"start", "end"}:
        return Box(node, _ROUND, _ROUND)
    width = max(_text_width(node.id), _text_width(node.text)) + _GAP
    if not node.inside:
        return Box(node, width, TITLE)
    areas = [arranged(graph) for graph in node.inside]
    inner, bottom = side_by_side(areas, TITLE + _GAP / 4)
    return Box(node, max(width, inner), bottom, areas)


def _text_width(text: str) -> float:
    return min(len(text), _LONGEST) * _LETTER


_LONGEST: Final = 40
"""Texts are drawn this long at most."""


def _layers(graph: Graph) -> dict[str, int]:
    """Return the layer of each step: one below the lowest that leads to it; a way back counts for nothing."""
    targets: dict[str, list[str]] = {node.id: [] for node in graph.nodes}
    for edge in graph.edges:
        targets[edge.source].append(edge.target)
    order, back = _ordered(targets)
    layers = dict.fromkeys(order, 0)
    for source in order:
        for target in targets[source]:
            if (source, target) not in back:
                layers[target] = max(layers[target], layers[source] + 1)
    return layers


def _ordered(targets: Mapping[str, Sequence[str]]) -> tuple[list[str], set[tuple[str, str]]]:
    """Return steps so that each stands before those it leads to, and the edges that lead back."""
    state: dict[str, int] = {}
    done: list[str] = []
    back: set[tuple[str, str]] = set()
    for first in targets:
        pending = [(first, iter(targets[first]))] if first not in state else []
        state.setdefault(first, 1)
        while pending:
            node, rest = pending[-1]
            target = next(rest, None)
            if target is None:
                state[node] = 2
                done.append(node)
                pending.pop()
            elif target not in state:
                state[target] = 1
                pending.append((target, iter(targets[target])))
            elif state[target] == 1:
                back.add((node, target))
    return done[::-1], back


_Row: TypeAlias = list[Box]


def _rows(
    graph: Graph, layers: Mapping[str, int], boxes: Mapping[str, Box]
) -> tuple[list[_Row], list[tuple[Edge, list[Box]]]]:
    """Return the boxes of each layer, with places for long edges to pass, and the boxes along each edge."""
    rows: list[_Row] = [[] for _ in range(max(layers.values(), default=-1) + 1)]
    for node in graph.nodes:
        rows[layers[node.id]].append(boxes[node.id])
    chains: list[tuple[Edge, list[Box]]] = []
    for edge in graph.edges:
        first, last = layers[edge.source], layers[edge.target]
        passing = [Box(Node(edge.target, "pass"), _NARROW, 0) for _ in range(first + 1, last)]
        for number, box in enumerate(passing, first + 1):
            rows[number].append(box)
        chains.append((edge, [boxes[edge.source], *passing, boxes[edge.target]]))
    _untangle(rows, chains)
    return rows, chains


def _untangle(rows: list[_Row], chains: Sequence[tuple[Edge, list[Box]]]) -> None:
    """Order each layer by where its boxes are come from: fewer edges cross."""
    above: dict[int, list[Box]] = {}
    for _, chain in chains:
        for upper, lower in pairwise(chain):
            above.setdefault(id(lower), []).append(upper)
    places: dict[int, float] = {}
    for row in rows:
        wanted = {id(box): _mean([places.get(id(it), 0.5) for it in above.get(id(box), [])]) for box in row}
        row.sort(key=lambda box: wanted[id(box)])
        places.update({id(box): (number + 0.5) / len(row) for number, box in enumerate(row)})


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.5


def _row_width(row: _Row) -> float:
    return sum(box.width for box in row) + _GAP * (len(row) - 1)


def _place(rows: Sequence[_Row], width: float) -> float:
    top: float = 0
    for row in rows:
        height = max(box.height for box in row)
        left = (width - _row_width(row)) / 2
        for box in row:
            box.x, box.y = left, top
            if box.node.kind == "pass":
                box.height = height
            left += box.width + _GAP
        top += height + _LAYER
    return max(top - _LAYER, 0)


def _points(chain: Sequence[Box]) -> list[Point]:
    first, *passing, last = chain
    points = [(first.x + first.width / 2, first.y + first.height)]
    for box in passing:
        middle = box.x + box.width / 2
        points += [(middle, box.y), (middle, box.y + box.height)]
    return [*points, (last.x + last.width / 2, last.y)]
