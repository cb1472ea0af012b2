"""Definitions of all kinds, good and broken, as a file of YAML would hold them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from hypothesis import strategies as st

from weft.core.payload import JsonObject

__all__ = ["CORRELATIONS", "SIGNALS", "Case", "cases"]

T = TypeVar("T")

SIGNALS = ("left", "right")
CORRELATIONS = ("", "x")

GOOD = (
    "text",
    7,
    True,
    None,
    [1, {"a": "${input.t}"}],
    "${input.n}",
    "${input.n + 1}",
    "${input.list}",
    "${input.flag ? 1 : 2}",
    "n is ${input.n}, of ${execution.workflow_name}",
    "$${n}",
    "${has(input.gone) ? input.gone : 0}",
    "${size(input.list)}",
)
"""Values that a template may hold anywhere."""
RISKY = (
    "${input.gone}",
    "${input.list[7]}",
    "${10 / (input.n - input.n)}",
    "${input.t + input.n}",
    "${int(input.t)}",
    "${input.list[0].a.b}",
    "${steps.s1.n}",
    "${vars.v}",
)
"""Those that fail when they are looked at, or may."""
BROKEN = (
    "${input.",
    "${nobody.x}",
    "${1 + 'a'}",
    "${}",
    "${size(1, 2)}",
    "${steps.gone.n}",
    "${item}",
    "${error.reason}",
)
"""Those that are wrong wherever they stand, or nearly."""
CONDITIONS = (
    "true",
    "false",
    "input.flag",
    "input.n > 3",
    "size(input.list) > 1",
    "${input.t == 'x'}",
    "has(input.n)",
)
BAD_CONDITIONS = ("input.n", "1 +", "nobody", "'text'", "input.list[7] == 1", "vars.v == 1", "")
SPANS = ("1s", "90s", "1h", "${input.n}s", "0s")
BAD_SPANS = ("soon", "${input.t}", "-1s", "400d", "${input.list}")
REASONS = (
    "SOLD_OUT",
    "TOO_POOR",
    "MAP_ITEMS_INVALID",
    "EXPRESSION_FAILED",
    "SIGNAL_TIMEOUT",
    "LOOP_LIMIT",
    "UNAVAILABLE",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One definition, and how it is tried."""

    document: JsonObject
    """The definition."""
    input: JsonObject
    """What it is started with."""
    answers: bool
    """Whether somebody sends messages, decides and resolves."""
    retries: bool
    """Whether incidents are resolved by another attempt first."""
    crash_at: int = 0
    """How many news of it there are when the server is killed, and starts anew; 0: it is not."""
    cancel_at: int = 0
    """How many news of it there are when it is cancelled; 0: it is not."""


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Make any definition; about half of them have something wrong."""
    maker = Maker(draw, wrong=draw(st.sampled_from((0, 0, 0, 2, 6))))
    document: JsonObject = {"name": "flow", "steps": maker.steps(0, ())}
    if maker.chance(15):
        document["finally"] = maker.steps(2, ())
    if maker.chance(10):
        document["timeout"] = maker.of(("30s", "2h"))
    if maker.chance(10):
        document["defaults"] = {"retry": maker.retry()}
    if maker.chance(15):
        document["input_schema"] = {
            "type": "object",
            "properties": {"n": {"type": "integer"}, "t": {"type": "string"}, "list": {"type": "array"}},
        }
    if maker.chance(5):
        document["output_schema"] = {"type": "object", "required": ["n"]}
    if maker.chance(5):
        document["search_attributes"] = {"n": maker.of(("${input.n}", "${input.t}", "${steps.s1.n}"))}
    return Case(
        document=document,
        input=maker.input(),
        answers=maker.chance(75),
        retries=maker.chance(30),
        crash_at=maker.number(1, 8) if maker.chance(25) else 0,
        cancel_at=maker.number(1, 8) if maker.chance(15) else 0,
    )


@dataclass
class Maker:
    """Makes one definition.

    ``wrong``: how many of a hundred places are to have something wrong.
    """

    draw: st.DrawFn
    wrong: int
    steps_made: int = 0
    runs_itself: bool = False

    def of(self, options: Sequence[T]) -> T:
        return options[self.draw(st.integers(0, len(options) - 1))]

    def number(self, least: int, most: int) -> int:
        return self.draw(st.integers(least, most))

    def chance(self, percent: int) -> bool:
        return percent > 0 and self.draw(st.integers(0, 99)) >= 100 - percent

    def slip(self) -> bool:
        """Tell whether something is to be wrong here."""
        return self.chance(self.wrong)

    def input(self) -> JsonObject:
        value: JsonObject = {
            "n": self.number(0, 6),
            "t": self.of(("x", "a text", "")),
            "flag": self.chance(50),
            "list": self.of(([], [1, 2, 3], [{"n": 1}, {"n": 2}], ["a"])),
        }
        for name in list(value):
            if self.chance(4):
                value[name] = self.of(("other", 1.5, None, {"a": 1}))
        return value

    # ---- lists of steps

    def steps(self, depth: int, seen: tuple[str, ...]) -> list[JsonObject]:
        """Make a list of steps; ``seen`` are the ids of those that ran before, around it."""
        count = self.number(1, 4 if depth == 0 else 2)
        ids = [self.new_id() for _ in range(count)]
        made = []
        for at, step_id in enumerate(ids):
            later = ids[at + 1 :]
            step = {"id": step_id, **self.step(depth, (*seen, *ids[:at]), later)}
            made.append(self.damaged(step, ids) if self.slip() else step)
        return made

    def new_id(self) -> str:
        self.steps_made += 1
        return f"s{self.steps_made}"

    def damaged(self, step: JsonObject, ids: list[str]) -> JsonObject:
        match self.number(0, 5):
            case 0:
                return {**step, "next": "gone"}
            case 1:
                return {**step, "next": ids[0]}
            case 2:
                return {**step, "id": self.of(("1x", "", "s1", "a b"))}
            case 3:
                return {**step, "nonsense": 1}
            case 4:
                return {**step, "timeout": self.of(("soon", 5, "400d"))}
            case _:
                return {**step, "fail": {"reason": "lower"}, "next": step.get("next", "")}

    def step(self, depth: int, seen: tuple[str, ...], later: list[str]) -> JsonObject:
        last = not later
        kinds = ["call", "call", "call", "set", "emit", "wait", "signal", "approval", "workflow"]
        if not last:
            kinds += ["switch", "switch"]
        if depth < 3 and self.steps_made < 14:
            kinds += ["parallel", "map", "loop", "parallel", "map", "loop"]
        if last:
            kinds += ["fail", "succeed"]
        kind = self.of(kinds)
        step: JsonObject = getattr(self, f"a_{kind}")(depth, seen, later)
        if kind not in {"switch", "fail", "succeed"} and not last:
            step["next"] = later[0]
        if self.chance(15):
            step["on_error"] = [self.handler(later)]
        if kind not in {"fail", "succeed", "switch"} and self.chance(8):
            step["output"] = {"n": self.value(seen), "o": self.of(("${output}", "${output.n}", 1))}
        if kind in {"call", "workflow", "signal", "approval"} and self.chance(15):
            step["timeout"] = self.of(("1s", "1m", "1h"))
        return step

    def handler(self, later: list[str]) -> JsonObject:
        handler: JsonObject = {}
        if self.chance(40):
            handler["reasons"] = [self.of(REASONS)]
        if self.chance(20):
            handler["kind"] = self.of(("BUSINESS", "TECHNICAL"))
        if later and self.chance(70):
            handler["next"] = self.of(later)
        return handler

    # ---- values

    def value(self, seen: tuple[str, ...]) -> Any:
        if self.slip():
            return self.of(BROKEN)
        if self.chance(12):
            return self.of(RISKY)
        if seen and self.chance(30):
            step_id = self.of(seen)
            form = self.of(("${has(steps.%s) ? 1 : 0}", "${has(steps.%s.n) ? steps.%s.n : 3}"))
            return form.replace("%s", step_id) if self.chance(80) else f"${{steps.{step_id}.n}}"
        return self.of(GOOD)

    def object(self, seen: tuple[str, ...]) -> JsonObject:
        found = {name: self.value(seen) for name in ("n", "x")[: self.number(0, 2)]}
        if self.chance(10):
            found["..."] = self.of(("${input}", ["${input}", {"n": 1}], "${input.n}"))
        return found

    def condition(self, seen: tuple[str, ...]) -> str:
        if self.slip() or self.chance(3):
            return self.of(BAD_CONDITIONS)
        if seen and self.chance(20):
            return f"has(steps.{self.of(seen)})"
        return self.of(CONDITIONS)

    def retry(self) -> JsonObject:
        policy: JsonObject = {
            "max_attempts": self.number(1, 3),
            "on_exhausted": self.of(("FAIL", "INCIDENT")),
        }
        if self.chance(40):
            policy["initial_backoff"] = self.of(("1s", "1m"))
        if self.slip():
            policy["multiplier"] = 0.5
        return policy

    def span(self) -> str:
        return self.of(BAD_SPANS) if self.slip() or self.chance(3) else self.of(SPANS)

    # ---- kinds

    def a_call(self, depth: int, seen: tuple[str, ...], later: list[str]) -> JsonObject:
        del depth, later
        action = self.of(("ok", "ok", "echo", "echo", "bad", "busy", "later"))
        step: JsonObject = {"service": "worker", "action": action}
        if self.slip():
            step[self.of(("service", "action"))] = "nobody"
        if action == "later":
            step["timeout"] = "10s"
        if self.chance(60):
            step["input"] = self.object(seen)
        if self.chance(25):
            step["retry"] = self.retry()
        if self.chance(20):
            undo: JsonObject = {"action": self.of(("ok", "ok", "bad", "busy")), "retry": {"max_attempts": 1}}
            if self.chance(40):
                undo["input"] = {
                    "n": self.of(("${output}", "${error.reason}", "${input.n}", "${output.gone}"))
                }
            step["compensate"] = undo
        if self.chance(5):
            step["cache"] = {"ttl": "1h", "key": self.of(("", "${input.n}", "${input.gone}"))}
        if self.chance(5):
            step["limit"] = {
                "concurrency": self.number(0, 2),
                "key": self.of(("", "${input.t}", "${input.gone}")),
            }
        if self.chance(5):
            step["at_most_once"] = True
        return step

    def a_set(self, depth: int, seen: tuple[str, ...], later: list[str]) -> JsonObject:
        del depth, later
        return {"set": {self.of(("v", "w")): self.value(seen)}}

    def a_emit(self, depth: int, seen: tuple[str, ...], later: list[str]) -> JsonObject:
        del depth, later
        return {
            "emit": {"type": "order.shipped" if not self.slip() else "no type", "data": self.object(seen)}
        }

    def a_wait(self, depth: int, seen: tuple[str, ...], later: list[str]) -> JsonObject:
        del depth, seen, later
        if self.chance(20):
            return {
                "wait": {"until": self.of(("2026-01-01T00:10:00Z", "${execution.create_time}", "${input.t}"))}
            }
        return {"wait": {"duration": self.span()}}

    def a_signal(self, depth: int, seen: tuple[str, ...], later: list[str]) -> JsonObject:
        del depth, seen, later
        signal: JsonObject = {"name": self.of(SIGNALS)}
        if self.chance(30):
            signal["correlation"] = self.of(("x", "${input.t}", "${input.gone}"))
        if self.chance(20):
            signal["schema"] = {"type": "object", "required": [self.of(("n", "gone"))]}
        return {"signal": signal, "timeout": "1h"} if self.chance(50) else {"signal": signal}

    def a_approval(self, depth: int, seen: tuple[str, ...], later: list[str]) -> JsonObject:
        del depth, later
        asked: JsonObject = {"title": f"May it, ${{input.t}}? {self.of(('', '${input.gone}', '${steps}'))}"}
        if self.chance(40):
            asked["outcomes"] = ["yes", "no"]
        if self.chance(20):
            asked["assignees"] = [str(self.value(seen))]
        if self.chance(20):
            asked["due"] = self.span()
        return {"approval": asked}

    def a_workflow(self, depth: int, seen: tuple[str, ...], later: list[str]) -> JsonObject:
        del later
        name = "gone" if self.slip() else self.of(("kid", "kid", "slow-kid", "bad-kid"))
        if not depth and not self.runs_itself and self.chance(10):
            name, self.runs_itself = "flow", True  # only once: twenty deep, and not wide
        child: JsonObject = {"name": name}
        if self.chance(15):
            child["abandon"] = True
        return {"workflow": child, "input": self.object(seen)} if self.chance(70) else {"workflow": child}

    def a_switch(self, depth: int, seen: tuple[str, ...], later: list[str]) -> JsonObject:
        del depth
        cases = [
            {"when": self.condition(seen), "next": self.of(later) if self.chance(85) else ""}
            for _ in range(self.number(1, 2))
        ]
        default = later[0] if not self.slip() else self.of(("", "gone"))
        return {"switch": {"cases": cases, "default": default}}

    def a_parallel(self, depth: int, seen: tuple[str, ...], later: list[str]) -> JsonObject:
        del later
        count = self.number(1, 3)
        branches = [{"name": f"b{at}", "steps": self.steps(depth + 1, seen)} for at in range(count)]
        parallel: JsonObject = {"branches": branches}
        if self.chance(50):
            parallel["join"] = self.number(0, count) if not self.slip() else count + 1
        if self.chance(30):
            parallel["collect_errors"] = True
        return {"parallel": parallel}

    def a_map(self, depth: int, seen: tuple[str, ...], later: list[str]) -> JsonObject:
        del later
        items: tuple[Any, ...] = (
            "${input.list}",
            [1, 2],
            [],
            {"from": 0, "to": 3},
            {"from": 3, "to": 0, "step": -2},
            ["${input.n}"],
        )
        bad = ("${input.n}", "text", 7, {"from": 0}, {"from": 0, "to": 2, "step": 0}, "${input.t}")
        each: JsonObject = {"items": self.of(bad if self.slip() or self.chance(5) else items)}
        if self.chance(20):
            each["workflow"] = {"name": self.of(("kid", "bad-kid"))}
        else:
            each["steps"] = self.steps(depth + 1, seen)
            if self.chance(50):
                self.spice(each["steps"], ("${item}", "${index}", "${item.n}"))
        if self.chance(40):
            each["max_concurrency"] = self.number(0, 2)
        if self.chance(40):
            each["tolerated_failures"] = self.number(-1, 1)
        if self.chance(20):
            each["discard_outputs"] = True
        return {"map": each}

    def a_loop(self, depth: int, seen: tuple[str, ...], later: list[str]) -> JsonObject:
        del later
        body = self.steps(depth + 1, seen)
        ends = self.of(("iteration >= 1", "iteration > 1", self.condition(seen)))
        loop: JsonObject = {"until": ends} if self.chance(60) else {"while": f"!({ends})"}
        if self.chance(30):
            first = body[0].get("id", "s1")
            self.spice(body, ("${iteration}", f"${{has(steps.{first}) ? 1 : 0}}"))
        return {"loop": {**loop, "steps": body, "max_iterations": self.number(1, 4)}}

    def spice(self, steps: list[JsonObject], values: Sequence[str]) -> None:
        """Let a call of a body see what only is there."""
        for step in steps:
            if "action" in step:
                step["input"] = {"n": self.of(values)}

    def a_fail(self, depth: int, seen: tuple[str, ...], later: list[str]) -> JsonObject:
        del depth, seen, later
        return {
            "fail": {
                "reason": self.of(("TOO_POOR", "SOLD_OUT")),
                "message": self.of(("", "n is ${input.n}", "${input.gone}")),
            }
        }

    def a_succeed(self, depth: int, seen: tuple[str, ...], later: list[str]) -> JsonObject:
        del depth, later
        return {"succeed": {"result": self.object(seen)}}
