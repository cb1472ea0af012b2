"""A workflow as a Mermaid flowchart, which many tools draw."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Final

from weft.cli._base.text import shorten
from weft.cli._drawing.graph import Edge, Graph, Node

__all__ = ["mermaid"]

_FORMS: Final = {
    "start": "(({}))",
    "end": "(({}))",
    "switch": "{{{}}}",
    "wait": "([{}])",
    "signal": "([{}])",
    "approval": "[/{}/]",
    "fail": "[[{}]]",
    "succeed": "[[{}]]",
}
"""How a kind is drawn, where not as a box."""
_LONGEST: Final = 60


def mermaid(graphs: tuple[Graph, ...]) -> str:
    """Return the text of the chart."""
    writer = _Writer()
    lines = [line for graph in graphs for line in writer.graph(graph, 1, framed=bool(graph.label))]
    return "\n".join(["flowchart TD", *lines]) + "\n"


class _Writer:
    """Gives every step a name of its own; those of the definition may be words of Mermaid."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def graph(self, graph: Graph, indent: int, *, framed: bool) -> Iterator[str]:
        pad = "  " * indent
        if framed:
            yield f'{pad}subgraph g{next(self._numbers)} ["{_escaped(graph.label) or " "}"]'
        names = {node.id: f"n{next(self._numbers)}" for node in graph.nodes}
        for node in graph.nodes:
            yield from self._node(node, names[node.id], indent + framed)
        for edge in graph.edges:
            yield f"{pad}{'  ' if framed else ''}{_edge(edge, names)}"
        if framed:
            yield f"{pad}end"

    def _node(self, node: Node, name: str, indent: int) -> Iterator[str]:
        pad = "  " * indent
        if not node.inside:
            yield f"{pad}{name}{_FORMS.get(node.kind, '[{}]').format(_quoted(node))}"
            return
        yield f"{pad}subgraph {name} [{_quoted(node)}]"
        for graph in node.inside:
            yield from self.graph(graph, indent + 1, framed=bool(graph.label))
        yield f"{pad}end"


def _edge(edge: Edge, names: dict[str, str]) -> str:
    arrow = "-.->" if edge.on_error else "-->"
    label = f'|"{_escaped(edge.label)}"|' if edge.label else ""
    return f"{names[edge.source]} {arrow}{label} {names[edge.target]}"


def _quoted(node: Node) -> str:
    if node.kind in {"start", "end"}:
        return f'"{node.kind}"'
    return f'"{_escaped(node.id)}<br/>{_escaped(node.text)}"'


def _escaped(text: str) -> str:
    """Write a text so that nothing in it means something to Mermaid."""
    short = shorten(" ".join(text.split()), _LONGEST)
    return "".join(
        character if character in _HARMLESS or ord(character) > 127 else f"#{ord(character)};"
        for character in short
    )


_HARMLESS: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,:_-+*/=?!()")
