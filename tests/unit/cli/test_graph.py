"""``weft workflows graph``: every step is there once, and every way from one to another."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.support.definitions import definitions
from tests.support.kinds import EVERYTHING
from weft.api.common.v1 import payload_pb2
from weft.cli._base.documents import documents_of
from weft.cli._drawing.graph import END, START, Edge, Graph, Node, graphs_of
from weft.cli._drawing.layout import Area, Box, arranged
from weft.cli._drawing.mermaid import mermaid
from weft.cli._drawing.svg import svg
from weft.cli._files.forms import meaning
from weft.cli._files.workflow_shape import WORKFLOW
from weft.client._reading.workflow import workflow as read_workflow
from weft.server.workflow.model import Definition, Workflow
from weft.server.workflow.wire.convert import workflow_to_proto

NOW = datetime(2026, 1, 1, tzinfo=UTC)
JSON = payload_pb2.PAYLOAD_KIND_JSON
SVG = "{http://www.w3.org/2000/svg}"


def drawn(text: str) -> tuple[Graph, ...]:
    ((_, document),) = documents_of(text.encode(), "w.yaml")
    return graphs_of(meaning(WORKFLOW, WORKFLOW.read(document, "")))


def nodes(graphs: tuple[Graph, ...]) -> list[Node]:
    found = [node for graph in graphs for node in graph.nodes]
    return [*found, *(inner for node in found for inner in nodes(node.inside))]


def chain(*steps: str) -> str:
    return f"name: w\nsteps: [{', '.join(steps)}]\n"


CALL = "{{id: {}, service: s, action: x, next: '{}'}}"


def test_every_step_is_a_node() -> None:
    """With its kind, and with what is inside of it."""
    found = nodes(drawn(EVERYTHING))
    kinds = {node.id: node.kind for node in found}
    assert len(found) == len(kinds) == 20
    assert (kinds["pay"], kinds["again"], kinds["paid"], kinds["close"]) == (
        "action",
        "loop",
        "signal",
        "action",
    )
    (both,) = (node for node in found if node.id == "both")
    assert [graph.label for graph in both.inside] == ["left", "right"]


def test_every_way_is_an_edge() -> None:
    """Those of cases, of failures, and to the end; a failure on purpose leads nowhere."""
    edges = set(drawn(EVERYTHING)[0].edges)
    assert {
        Edge(START, "pay"),
        Edge("pay", "which"),
        Edge("pay", "ask", "CARD_DECLINED", on_error=True),
        Edge("which", "ask", "input.amount > 100"),
        Edge("which", "both", "else"),
        Edge("end", END),
    } <= edges
    assert not [edge for edge in edges if edge.source == "bad"]


def test_ways_of_one_kind_between_two_steps_are_one() -> None:
    """With all that is said of them; unknown targets are left out."""
    cases = "[{when: a, next: b}, {when: c, next: b}, {when: d, next: ghost}]"
    (graph,) = drawn(chain(f"{{id: a, switch: {{cases: {cases}}}}}", CALL.format("b", "")))
    assert [edge for edge in graph.edges if edge.source == "a"] == [Edge("a", "b", "a | c")]


def test_mermaid_names_are_its_own() -> None:
    """Ids may be words of Mermaid, and texts may hold what means something there."""
    text = mermaid(drawn(chain(CALL.format("end", "graph"), '{id: graph, fail: {reason: A, message: "]"}}')))
    assert text.splitlines()[0] == "flowchart TD"
    assert 'n2["end<br/>s.x"]' in text
    evil = mermaid(drawn(chain('{id: a, wait: {duration: "x\\"]; click n1 --> <b>"}}')))
    label = evil.split("wait ")[1].split('"])')[0]
    assert not set(label.replace("#34;", "").replace("#93;", "").replace("#59;", "")) & set('"]<>')


def boxes(area: Area) -> list[tuple[Box, float, float]]:
    """Return every box with its place in the drawing."""
    found = []
    for box in area.boxes:
        found.append((box, area.x + box.x, area.y + box.y))
        for inner in box.inside:
            found += [(it, area.x + box.x + x, area.y + box.y + y) for it, x, y in boxes(inner)]
    return found


@pytest.mark.parametrize("text", [EVERYTHING, chain(*(CALL.format(f"s{n}", f"s{n + 1}") for n in range(50)))])
def test_boxes_do_not_overlap(text: str) -> None:
    """Those of one list stand apart, and what is inside of a step stays inside of it."""
    for graph in drawn(text):
        area = arranged(graph)
        for number, box in enumerate(area.boxes):
            for other in area.boxes[number + 1 :]:
                beside = box.x + box.width <= other.x or other.x + other.width <= box.x
                assert beside or box.y + box.height <= other.y or other.y + other.height <= box.y
            for inner in box.inside:
                assert inner.x >= 0
                assert inner.x + inner.width <= box.width
                assert inner.y + inner.height <= box.height


def test_a_cycle_is_drawn_too() -> None:
    """A definition that the server refuses can be looked at."""
    (graph,) = drawn(chain(CALL.format("a", "b"), CALL.format("b", "a"), CALL.format("c", "c")))
    assert {(edge.source, edge.target) for edge in graph.edges} >= {("a", "b"), ("b", "a"), ("c", "c")}
    assert "</svg>" in svg((graph,), "w")


def test_a_drawing_is_xml_with_every_step() -> None:
    """Texts are escaped, long ones are cut and whole in a title; control characters are not in it."""
    graphs = drawn(EVERYTHING)
    root = ET.fromstring(svg(graphs, "a <b> & \x00\x1b c"))
    title = root.find(f"{SVG}title")
    assert title is not None
    assert title.text == "a <b> &    c"
    shown = {text.text for text in root.iter(f"{SVG}text")}
    assert {node.id for node in nodes(graphs)} - {START, END} <= shown


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(definition=definitions)
def test_whatever_can_be_said_can_be_drawn(definition: Definition) -> None:
    """Also what makes no sense."""
    times: dict[str, Any] = {"create_time": NOW, "update_time": NOW, "version_create_time": NOW}
    message = workflow_to_proto(Workflow(id="wf_1", name="w", definition=definition, **times), JSON)
    graphs = graphs_of(meaning(WORKFLOW, read_workflow(message)))
    ET.fromstring(svg(graphs, "w"))
    assert mermaid(graphs).startswith("flowchart TD")
