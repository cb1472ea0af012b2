"""Definitions that lean towards being right: of all kinds, with expressions over what may be there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from weft.core.payload import JsonObject
from weft.server.registry.model import Action
from weft.server.workflow import kinds
from weft.server.workflow.model import Compensation, Definition, ErrorHandler, Step

__all__ = ["ACTIONS", "ANSWERS", "INPUT", "SERVICE", "flows"]

SERVICE = "worker"
INPUT: JsonObject = {
    "text": "hello",
    "n": 2,
    "list": [{"text": "a", "k": 1}, {"text": "b", "k": 2}],
    "flag": True,
}
_ITEM = {
    "type": "object",
    "properties": {"text": {"type": "string"}, "k": {"type": "integer"}},
    "required": ["text", "k"],
    "additionalProperties": False,
}
_INPUT_SCHEMA = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "n": {"type": "integer"},
        "flag": {"type": "boolean"},
        "list": {"type": "array", "items": _ITEM},
        "more": {"type": "string"},
    },
    "required": ["text", "n", "flag", "list"],
    "additionalProperties": False,
}


def _object(*required: str, **properties: str) -> JsonObject:
    members = {name: {"type": kind} for name, kind in properties.items()}
    return {
        "type": "object",
        "properties": members,
        "required": list(required),
        "additionalProperties": False,
    }


ACTIONS = (
    Action(name="give", output_schema=_object("text", "n", text="string", n="integer")),
    Action(name="maybe", output_schema=_object(text="string")),
    Action(
        name="take",
        input_schema={**_object("text", text="string"), "additionalProperties": True},
        output_schema=_object("m", m="integer"),
    ),
    Action(
        name="count",
        input_schema={**_object("n", n="integer"), "additionalProperties": True},
        output_schema=_object("m", m="integer"),
    ),
    Action(name="bad"),
    Action(name="undo"),
)
ANSWERS: dict[str, JsonObject] = {
    "give": {"text": "given", "n": 3},
    "maybe": {},
    "take": {"m": 1},
    "count": {"m": 1},
    "undo": {},
}

_MEMBERS = ("text", "n", "m", "next", "items", "last", "b0", "count", "iterations", "until")
_OTHERS = (
    "input.text",
    "input.n",
    "input.more",
    "input.list",
    "item.text",
    "item.k",
    "item",
    "index",
    "iteration",
    "error.reason",
    "error.message",
    "vars.v0",
    "vars.v1",
    "execution.id",
    "'a' + 'b'",
    "1 + 1",
    "input.list.map(l, l.text)",
)
_CONDITIONS = ("input.flag", "!input.flag", "input.n > 1", "has(input.more)", "input.text == 'hello'", "true")


class _Maker:
    """Draws one definition."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        self._draw = draw
        self._count = 0
        self._ids = [f"s{n}" for n in range(9)]

    def pick(self, *choices: Any) -> Any:
        return self._draw(st.sampled_from(choices))

    def definition(self) -> Definition:
        steps = self.steps(0)
        last = self.steps(2) if self.pick(False, False, True) else ()
        return Definition(steps=steps, input_schema=_INPUT_SCHEMA, finally_steps=last)

    def steps(self, depth: int) -> tuple[Step, ...]:
        ids = [self.new_id() for _ in range(self.pick(1, 2, 3) if depth else self.pick(2, 3, 4))]
        return tuple(self.step(step_id, ids[at + 1 :], depth) for at, step_id in enumerate(ids))

    def new_id(self) -> str:
        self._count += 1
        return f"s{self._count - 1}"

    def source(self) -> str:
        if self.pick(True, False):
            return str(self.pick(*_OTHERS))
        target = self.pick(*self._ids)
        if self.pick(False, False, True):
            return f"has(steps.{target}) ? 'yes' : 'no'"
        return f"steps.{target}.{self.pick(*_MEMBERS)}"

    def value(self) -> str:
        return f"${{{self.source()}}}" if self.pick(True, True, False) else f"<${{{self.source()}}}>"

    def condition(self) -> str:
        path = self.source()
        return self.pick(*_CONDITIONS) if self.pick(True, True, False) else f"({path}) == ({path})"

    def step(self, step_id: str, later: list[str], depth: int) -> Step:
        kinds_here = ["action"] * 6 + ["set", "wait", "emit", "switch", "switch", "fail", "succeed", "signal"]
        if depth < 3:
            kinds_here += ["parallel", "map", "loop"]
        made = getattr(self, self.pick(*kinds_here))(depth, later)
        following = made.pop("next", later[0] if later else "")
        handled = self.pick(*later) if later and self.pick(False, False, True) else None
        handlers = (ErrorHandler(next=handled),) if handled and "no_handler" not in made else ()
        made.pop("no_handler", None)
        return Step(id=step_id, next=following, on_error=handlers, **made)

    def action(self, _depth: int, _later: list[str]) -> dict[str, Any]:
        name = self.pick("give", "maybe", "take", "take", "count", "bad")
        more: dict[str, Any] = {}
        if self.pick(True, False):
            more["input"] = {self.pick("text", "n"): self.value()}
        if self.pick(False, False, True):
            more["output"] = {"text": self.value(), "o": "${output}"}
        if self.pick(False, False, False, True):
            more["compensate"] = Compensation(action="undo", input={"x": self.value(), "y": "${output}"})
        return {"service": SERVICE, "action": name, **more}

    def set(self, _depth: int, _later: list[str]) -> dict[str, Any]:
        return {"does": kinds.SetVariables(values={self.pick("v0", "v1", "text"): self.value()})}

    def wait(self, _depth: int, _later: list[str]) -> dict[str, Any]:
        return {"does": kinds.Wait(duration=self.pick("1s", "0s", "${input.n}s"))}

    def emit(self, _depth: int, _later: list[str]) -> dict[str, Any]:
        return {"does": kinds.Emit(type="a.b", data={"x": self.value()})}

    def signal(self, _depth: int, _later: list[str]) -> dict[str, Any]:
        signal = kinds.Signal(name="never", correlation=self.value())
        return {"does": signal, "timeout": timedelta(seconds=1)}

    def fail(self, _depth: int, _later: list[str]) -> dict[str, Any]:
        return {"does": kinds.Fail(reason="NO", message=self.value()), "next": ""}

    def succeed(self, _depth: int, _later: list[str]) -> dict[str, Any]:
        return {"does": kinds.Succeed(result={"x": self.value()}), "next": "", "no_handler": True}

    def switch(self, _depth: int, later: list[str]) -> dict[str, Any]:
        targets = [self.pick(*later, "") for _ in range(self.pick(1, 2))] if later else [""]
        cases = tuple(kinds.Case(when=self.condition(), next=target) for target in targets)
        return {"does": kinds.Switch(cases=cases, default=later[0] if later else ""), "next": ""}

    def parallel(self, depth: int, _later: list[str]) -> dict[str, Any]:
        branches = tuple(
            kinds.Branch(name=f"b{n}", steps=self.steps(depth + 1)) for n in range(self.pick(1, 2))
        )
        return {
            "does": kinds.Parallel(
                branches=branches, join=self.pick(0, 1), collect_errors=self.pick(False, True)
            )
        }

    def map(self, depth: int, _later: list[str]) -> dict[str, Any]:
        items = self.pick("${input.list}", [{"text": "x", "k": 1}], {"from": 0, "to": "${input.n}"}, [1, 2])
        return {
            "does": kinds.Map(
                items=items, steps=self.steps(depth + 1), tolerated_failures=self.pick(0, 0, -1)
            )
        }

    def loop(self, depth: int, _later: list[str]) -> dict[str, Any]:
        body = self.steps(depth + 1)
        if self.pick(True, False):
            return {"does": kinds.Loop(while_=self.pick("iteration < 2", "input.n > 5"), steps=body)}
        return {"does": kinds.Loop(until="iteration == 1", steps=body)}


@st.composite
def flows(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Definition:
    """Definitions over the actions above."""
    return _Maker(draw).definition()
