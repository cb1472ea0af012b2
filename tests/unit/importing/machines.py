"""State machines by chance, and a small interpreter that says what each has to do."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

FUNCTION = "arn:aws:lambda:eu-west-1:1:function:"
MOST_STATES = 60
LARGEST = 5_000
"""Characters of data: it may double with each round."""


class FailsError(Exception):
    """The machine fails, as the language says."""


class TooLongError(Exception):
    """It goes on and on."""


def machine(chance: random.Random) -> dict[str, Any]:
    """Give a machine of up to eight states that lead to each other in any way."""
    names = [f"S{number}" for number in range(chance.randint(2, 8))]
    return {"StartAt": names[0], "States": {name: _state(name, names, chance) for name in names}}


def _state(name: str, names: list[str], chance: random.Random) -> dict[str, Any]:
    kind = chance.choice(["Task", "Task", "Pass", "Choice", "Choice"])
    if kind == "Choice":
        rules = [{**_rule(chance), "Next": chance.choice(names)} for _ in range(chance.randint(1, 2))]
        return {"Type": "Choice", "Choices": rules, "Default": chance.choice(names)}
    state: dict[str, Any] = {"Type": kind}
    if kind == "Task":
        state["Resource"] = f"{FUNCTION}{name}"
        _sometimes(chance, state, "ResultSelector", {"a.$": "$.a", "k.$": "$.k", "from": name})
        catcher: dict[str, Any] = {"ErrorEquals": ["States.ALL"], "Next": chance.choice(names)}
        _sometimes(chance, catcher, "ResultPath", chance.choice(["$.e", "$.b", "$.e.of"]), share=0.7)
        _sometimes(chance, state, "Catch", [catcher], share=0.6)
    else:
        _sometimes(chance, state, "Result", {"a": {"x": name}, "k": chance.randint(0, 9)})
    _sometimes(chance, state, "InputPath", chance.choice(["$.a", "$.b", "$"]), share=0.15)
    _sometimes(chance, state, "Parameters", {"a": {"x.$": "$.k"}, "b.$": "$.a", "k.$": "$.k"}, share=0.3)
    _sometimes(chance, state, "ResultPath", chance.choice(["$.a", "$.b", "$.b.c", None]), share=0.7)
    _sometimes(chance, state, "OutputPath", chance.choice(["$.a", "$.b"]), share=0.1)
    return {**state, **({"End": True} if chance.random() < 0.3 else {"Next": chance.choice(names)})}


def _sometimes(
    chance: random.Random, state: dict[str, Any], name: str, value: Any, share: float = 0.4
) -> None:
    if chance.random() < share:
        state[name] = value


def _rule(chance: random.Random) -> dict[str, Any]:
    path = chance.choice(["$.k", "$.a.k", "$.b.k"])
    present = {"Variable": path, "IsPresent": True}
    more = {"Variable": path, "NumericGreaterThan": chance.randint(0, 9)}
    return chance.choice([present, {"Not": present}, {"And": [present, more]}])


def play(machine: dict[str, Any], value: Any, answer: Callable[[str, Any], Any]) -> Any:
    """Return the output of a machine.

    Raises:
        FailsError: It fails.
        TooLongError: It goes on and on.
    """
    name, data = machine["StartAt"], value
    for _ in range(MOST_STATES):
        state = machine["States"][name]
        if state["Type"] == "Choice":
            name = next((rule["Next"] for rule in state["Choices"] if _holds(rule, data)), state["Default"])
            continue
        name, data = _step(name, state, data, answer)
        if len(repr(data)) > LARGEST:
            raise TooLongError
        if not name:
            return data
    raise TooLongError


def _step(name: str, state: dict[str, Any], raw: Any, answer: Callable[[str, Any], Any]) -> tuple[str, Any]:
    given = _taken(raw, state.get("InputPath", "$"))
    given = _filled(state["Parameters"], given) if "Parameters" in state else given
    try:
        result = answer(name, given) if state["Type"] == "Task" else state.get("Result", given)
    except FailsError as error:
        for catcher in state.get("Catch", ()):
            told = {"Error": str(error), "Cause": str(error)}
            return catcher["Next"], _placed(raw, catcher.get("ResultPath", "$"), told)
        raise
    result = _filled(state["ResultSelector"], result) if "ResultSelector" in state else result
    left = _placed(raw, state.get("ResultPath", "$"), result)
    return state.get("Next", ""), _taken(left, state.get("OutputPath", "$"))


def _taken(data: Any, path: str) -> Any:
    for key in path.split(".")[1:]:
        if not isinstance(data, dict) or key not in data:
            raise FailsError(path)
        data = data[key]
    return copy.deepcopy(data)


def _filled(template: Any, data: Any) -> Any:
    if not isinstance(template, dict):
        return template
    return {
        key.removesuffix(".$"): _taken(data, item) if key.endswith(".$") else _filled(item, data)
        for key, item in template.items()
    }


def _placed(raw: Any, path: str | None, result: Any) -> Any:
    if path is None or path == "$":
        return raw if path is None else result
    found = place = copy.deepcopy(raw)
    *outer, last = path.split(".")[1:]
    for key in outer:
        place = place.setdefault(key, {})
    place[last] = result
    return found


def _holds(rule: dict[str, Any], data: Any) -> bool:
    if "And" in rule:
        return all(_holds(part, data) for part in rule["And"])
    if "Not" in rule:
        return not _holds(rule["Not"], data)
    if "IsPresent" in rule:
        try:
            _taken(data, rule["Variable"])
        except FailsError:
            return False
        return True
    return bool(_taken(data, rule["Variable"]) > rule["NumericGreaterThan"])
