"""An order, a service that works on it, and short forms of steps that are no calls."""

from __future__ import annotations

from typing import Any

from tests.unit.workflow.builders import action, found, schema, service, services, step
from weft.server.workflow.kinds import (
    Branch,
    Case,
    Kind,
    Parallel,
    Switch,
)
from weft.server.workflow.model import (
    Step,
)

TEXT = schema("text", text="string")
NUMBER = schema("text", text="integer")
LINE = schema("sku", "qty", sku="string", qty="integer", note="string")
ORDER = schema(
    "id",
    "lines",
    "big",
    id="string",
    big="boolean",
    lines={"type": "array", "items": LINE},
    name="string",
)
KNOWN = services(
    service(
        "s",
        action("any"),
        action("read", None, TEXT),
        action("count", None, NUMBER),
        action("maybe", None, schema(text="string", closed=True)),
        action("use", TEXT, schema("n", n="integer")),
        action("book", schema("sku", sku="string"), schema("ref", ref="string")),
        action("pair", schema("a", "b", a="string", b="integer"), None),
        action("undo", schema("ref", ref="string"), None),
    )
)


def does(step_id: str, kind: Kind, following: str = "", **rest: Any) -> Step:
    return Step(id=step_id, does=kind, next=following, **rest)


def either(one: str, other: str) -> Step:
    return does("which", Switch(cases=(Case(when="input.big", next=one),), default=other))


def look(source: str, following: str = "", step_id: str = "look") -> Step:
    """Give a step whose input is one expression."""
    return step(step_id, "any", following, input={"x": f"${{{source}}}"})


def both(*bodies: tuple[Step, ...], **rest: Any) -> Parallel:
    return Parallel(branches=tuple(Branch(name=f"b{n}", steps=body) for n, body in enumerate(bodies)), **rest)


def check(*steps: Step, **rest: Any) -> list[tuple[str, str]]:
    return found(KNOWN, *steps, **{"input_schema": ORDER, **rest})


BEHIND = "steps[1].input.x"
"""Where `look` stands as the second step."""
