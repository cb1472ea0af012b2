"""What a definition looks like as a graph: lists of steps, of which some are inside of others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from weft.core.definitions import STEP_KINDS

__all__ = ["END", "START", "Edge", "Graph", "Node", "graphs_of", "kind_of", "step_text"]

START: Final = ""
"""The id of what is before the first step; no step has it."""
END: Final = " "
"""The id of what is behind the last step."""


@dataclass(frozen=True, slots=True)
class Edge:
    """A way from one step to another of the same list."""

    source: str
    """An id."""
    target: str
    """An id, or ``END``."""
    label: str = ""
    """When it is gone."""
    on_error: bool = False
    """Whether a failure leads there."""


@dataclass(frozen=True, slots=True)
class Node:
    """A step."""

    id: str
    """As in the definition."""
    kind: str
    """``action``, another kind, or ``start`` or ``end``."""
    text: str = ""
    """What it does, in a few words."""
    inside: tuple[Graph, ...] = ()
    """The lists of steps that it holds."""


@dataclass(frozen=True, slots=True)
class Graph:
    """A list of steps."""

    label: str = ""
    """What it is of its step, such as the name of a branch."""
    nodes: Sequence[Node] = field(default_factory=list)
    """In their order."""
    edges: Sequence[Edge] = field(default_factory=list)
    """Two nodes have at most one of each kind."""


def graphs_of(workflow: Mapping[str, Any]) -> tuple[Graph, ...]:
    """Return the graph of a workflow, and that of what runs at the end, if there is something."""
    steps = _graph("", workflow.get("steps", []), ends=True)
    last = workflow.get("finally", [])
    return (steps, _graph("finally", last)) if last else (steps,)


def _graph(label: str, steps: Sequence[Mapping[str, Any]], *, ends: bool = False) -> Graph:
    nodes = [_node(step) for step in steps]
    known = {node.id for node in nodes} | ({END} if ends else set())
    edges = _merged(edge for step in steps for edge in _edges(step) if edge.target in known)
    if not ends or not nodes:
        return Graph(label, nodes, edges)
    frame = Node(START, "start"), Node(END, "end")
    return Graph(label, [frame[0], *nodes, frame[1]], [Edge(START, nodes[0].id), *edges])


def _edges(step: Mapping[str, Any]) -> Iterator[Edge]:
    source = step["id"]
    if "switch" in step:
        for case in step["switch"].get("cases", []):
            yield Edge(source, case.get("next") or END, case["when"])
        if step["switch"].get("default"):
            yield Edge(source, step["switch"]["default"], "else")
    elif "fail" not in step:
        yield Edge(source, step.get("next") or END)
    for handler in step.get("on_error", []):
        said = ", ".join(handler.get("reasons", [])) or handler.get("kind", "").lower() or "error"
        yield Edge(source, handler.get("next") or END, said, on_error=True)


def _merged(edges: Iterator[Edge]) -> list[Edge]:
    """Make one edge of several of one kind between the same steps."""
    labels: dict[tuple[str, str, bool], list[str]] = {}
    for edge in edges:
        labels.setdefault((edge.source, edge.target, edge.on_error), []).append(edge.label)
    return [
        Edge(source, target, " | ".join(said), on_error=failed)
        for (source, target, failed), said in labels.items()
    ]


def _node(step: Mapping[str, Any]) -> Node:
    kind = kind_of(step)
    return Node(step["id"], kind, step_text(step), tuple(_inside(kind, step)))


def kind_of(step: Mapping[str, Any]) -> str:
    """Return what a step is: ``action``, or the member that says what else."""
    return next((kind for kind in STEP_KINDS if kind in step), "action")


def _inside(kind: str, step: Mapping[str, Any]) -> Iterator[Graph]:
    if kind == "parallel":
        for branch in step["parallel"].get("branches", []):
            yield _graph(branch["name"], branch.get("steps", []))
    elif kind in {"map", "loop"} and step[kind].get("steps"):
        yield _graph("", step[kind]["steps"])


def step_text(step: Mapping[str, Any]) -> str:
    """Say in a few words what a step does."""
    kind = kind_of(step)
    if kind == "action":
        return f"{step.get('service', '')}.{step.get('action', '')}"
    if kind == "set":
        return f"set {', '.join(step['set'])}"
    return f"{kind} {_detail(kind, step[kind])}".rstrip()


def _detail(kind: str, said: Mapping[str, Any]) -> str:
    match kind:
        case "map":
            child = said.get("workflow", {}).get("name", "")
            return f"{_items(said.get('items'))}{f' by {child}' if child else ''}"
        case "loop":
            return f"while {said['while']}" if "while" in said else f"until {said.get('until', '')}"
        case "parallel":
            return f"join {said['join']}" if said.get("join") else ""
        case _:
            names = ("name", "title", "duration", "until", "type", "reason")
            return str(next((said[name] for name in names if said.get(name)), ""))


def _items(items: object) -> str:
    if isinstance(items, Mapping):
        return f"{items.get('from', '')} to {items.get('to', '')}"
    return f"{len(items)} items" if isinstance(items, list) else str(items)
