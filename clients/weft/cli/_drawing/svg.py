"""A workflow as a drawing: SVG that stands by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from xml.sax.saxutils import escape

from weft.cli._base.text import shorten
from weft.cli._drawing.graph import Graph
from weft.cli._drawing.layout import TITLE, Area, Box, Line, Point, arranged, side_by_side

__all__ = ["svg"]

_MARGIN: Final = 16
_LONGEST: Final = 40
_LONGEST_LABEL: Final = 28

_COLOURS: Final = {
    "action": "#e8f0fe",
    "switch": "#fff4d6",
    "parallel": "#f4f6f8",
    "map": "#f4f6f8",
    "loop": "#f4f6f8",
    "wait": "#f0e9fb",
    "signal": "#f0e9fb",
    "approval": "#fde9e0",
    "workflow": "#e2f3f0",
    "fail": "#fbe1e1",
    "succeed": "#e1f4e4",
}
"""Of the boxes, by kind; others are white."""

_STYLE: Final = (
    "text{font:12px sans-serif;fill:#1f2933;text-anchor:middle}"
    ".id{font-weight:bold}.label{font-size:11px;fill:#52606d}"
    "rect,circle{stroke:#7b8794}.area{fill:none;stroke-dasharray:3 3}.back{fill:#fff;stroke:none}"
    "path{fill:none;stroke:#52606d}.error{stroke:#c0392b;stroke-dasharray:5 3}"
    "#tip path,#bad path{stroke:none;fill:#52606d}#bad path{fill:#c0392b}"
)

_TIP: Final = (
    '<marker id="{}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    '<path d="M0 0L8 4L0 8z"/></marker>'
)


def svg(graphs: tuple[Graph, ...], title: str) -> str:
    """Return the text of the drawing."""
    areas = [arranged(graph) for graph in graphs]
    width, height = side_by_side(areas, _MARGIN)
    size = f'width="{width:.0f}" height="{height:.0f}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {width:.0f} {height:.0f}">',
        f"<title>{_text(title)}</title>",
        f"<style>{_STYLE}</style>",
        f"<defs>{_TIP.format('tip')}{_TIP.format('bad')}</defs>",
        f'<rect class="back" {size}/>',
        *(line for area in areas for line in _area(area, (0, 0))),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _area(area: Area, origin: Point) -> Iterator[str]:
    x, y = origin[0] + area.x, origin[1] + area.y
    if area.graph.label:
        yield (
            f'<rect class="area" x="{x - 6:.1f}" y="{y - 20:.1f}" width="{area.width + 12:.1f}" '
            f'height="{area.height + 28:.1f}" rx="4"/>'
        )
        yield _words(area.graph.label, x + area.width / 2, y - 7, "label")
    for line in area.lines:
        yield _path(line, x, y)
    for box in area.boxes:
        yield from _box(box, (x, y))
    for line in area.lines:
        if line.edge.label:
            yield from _label(line, x, y)


def _box(box: Box, origin: Point) -> Iterator[str]:
    x, y = origin[0] + box.x, origin[1] + box.y
    middle = x + box.width / 2
    if box.node.kind in {"start", "end"}:
        fill = "#52606d" if box.node.kind == "start" else "#fff"
        yield f'<circle cx="{middle:.1f}" cy="{y + 8:.1f}" r="7" fill="{fill}"/>'
        return
    yield (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="5" '
        f'fill="{_COLOURS.get(box.node.kind, "#fff")}"/>'
    )
    yield _words(box.node.id, middle, y + 17, "id")
    yield _words(box.node.text, middle, y + TITLE - 9, "label")
    for area in box.inside:
        yield from _area(area, (x, y))


def _path(line: Line, x: float, y: float) -> str:
    kind, tip = ("error", "bad") if line.edge.on_error else ("edge", "tip")
    (first_x, first_y), *rest = [(x + point[0], y + point[1]) for point in line.points]
    drawn = f"M{first_x:.1f} {first_y:.1f}"
    for px, py in rest:
        half = (first_y + py) / 2
        drawn += f"C{first_x:.1f} {half:.1f} {px:.1f} {half:.1f} {px:.1f} {py:.1f}"
        first_x, first_y = px, py
    return f'<path class="{kind}" d="{drawn}" marker-end="url(#{tip})"/>'


def _label(line: Line, x: float, y: float) -> Iterator[str]:
    """Write what an edge says near its end, where others are less near."""
    (x1, y1), (x2, y2) = line.points[-2:]
    at_x, at_y = x + x1 + (x2 - x1) * 0.7, y + y1 + (y2 - y1) * 0.6
    width = min(len(line.edge.label), _LONGEST_LABEL) * 6 + 6
    yield (
        f'<rect class="back" x="{at_x - width / 2:.1f}" y="{at_y - 9:.1f}" width="{width:.1f}" height="13" '
        'fill-opacity=".85"/>'
    )
    yield _words(line.edge.label, at_x, at_y + 1, "label", _LONGEST_LABEL)


def _words(text: str, x: float, y: float, kind: str, longest: int = _LONGEST) -> str:
    whole = " ".join(text.split())
    short = shorten(whole, longest)
    more = f"<title>{_text(whole)}</title>" if short != whole else ""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{more}{_text(short)}</text>'


def _text(text: str) -> str:
    return escape("".join(character if character.isprintable() else " " for character in text))
