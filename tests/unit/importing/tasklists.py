"""Workflows of Serverless Workflow by chance, and a small interpreter that says what each has to do."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from tests.unit.importing.machines import LARGEST, MOST_STATES, FailsError, TooLongError

Answer = Callable[[str, Any], Any]


_TELLS = {"set": {"k": "${ .k + 0 }", "a": "${ $error.title }", "s": "e"}}


class EndError(Exception):
    """``then: end``."""


class _Builder:
    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.count = 0

    def tasks(self, depth: int) -> list[dict[str, Any]]:
        names = []
        for _ in range(self.chance.randint(1, 4 if depth else 5)):
            names.append(f"T{self.count}")
            self.count += 1
        return [{name: self._task(name, names, depth)} for name in names]

    def _task(self, name: str, names: list[str], depth: int) -> dict[str, Any]:
        chance = self.chance
        kinds = ["call", "call", "set", "switch"] + (
            ["do", "try", "for", "fork"] if depth < 2 and self.count < 14 else []
        )
        task = self._made(chance.choice(kinds), name, names, depth)
        if chance.random() < 0.15:
            task["if"] = "${ .k > 6 }"
        if "switch" not in task and chance.random() < 0.25:
            task["then"] = chance.choice([*names, "continue", "exit", "end"])
        if chance.random() < 0.15:
            task["input"] = {"from": "${ { k: .k, a: .a } }"}
        if not {"switch", "fork"} & task.keys() and chance.random() < 0.2:
            task["output"] = {"as": "${ { k: .k, a: $input.a, b: .a } }"}
        return task

    def _made(self, kind: str, name: str, names: list[str], depth: int) -> dict[str, Any]:
        chance = self.chance
        match kind:
            case "call":
                return {"call": name, "with": {"k": "${ .k }", "a": "${ .a }"}}
            case "set":
                return {"set": {"k": f"${{ .k + {chance.randint(1, 3)} }}", "a": "${ .a }", "s": name}}
            case "switch":
                return {
                    "switch": [
                        {"one": {"when": f".k > {chance.randint(0, 25)}", "then": self._way(names)}},
                        {"other": {"then": self._way(names)}},
                    ]
                }
            case _:
                return self._holder(kind, depth)

    def _holder(self, kind: str, depth: int) -> dict[str, Any]:
        match kind:
            case "do":
                return {"do": self.tasks(depth + 1)}
            case "for":
                return {"for": {"each": "n", "in": "${ [1, 2] }"}, "do": self.tasks(depth + 1)}
            case "fork":
                self.count += 2
                made = [self.chance.choice(["call", "set"]) for _ in range(2)]
                branches = [
                    {f"T{self.count - 1 - at}": self._made(it, f"T{self.count - 1 - at}", [], 2)}
                    for at, it in enumerate(made)
                ]
                return {"fork": {"branches": branches}, "output": {"as": "${ { k: .[0].k, a: .[1].a } }"}}
            case _:
                catch = (
                    {"do": [*self.tasks(depth + 1), {f"E{self.count}": _TELLS}]}
                    if self.chance.random() < 0.7
                    else {}
                )
                return {"try": self.tasks(depth + 1), "catch": catch}

    def _way(self, names: list[str]) -> str:
        return self.chance.choice([*names, "continue", "exit", "end"])


def workflow(chance: random.Random) -> dict[str, Any]:
    """Give a workflow with some tasks in tasks."""
    head = {"dsl": "1.0.0", "namespace": "n", "name": "w", "version": "1.0.0"}
    return {"document": head, "do": _Builder(chance).tasks(0)}


class Player:
    """Plays a workflow."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._steps = 0
        self._error = ""

    def play(self, document: dict[str, Any], value: Any) -> Any:
        """Return the result.

        Raises:
            FailsError: It fails.
            TooLongError: It goes on and on.
        """
        try:
            return self._tasks(document["do"], value)
        except EndError as end:
            return end.args[0]

    def _tasks(self, tasks: list[dict[str, Any]], data: Any) -> Any:
        named = [next(iter(entry.items())) for entry in tasks]
        places = {name: index for index, (name, _) in enumerate(named)}
        at = 0
        while at < len(named):
            self._steps += 1
            if self._steps > MOST_STATES or len(repr(data)) > LARGEST:
                raise TooLongError
            name, task = named[at]
            if "if" in task and not data["k"] > 6:
                at += 1
                continue
            data, then = self._task(name, task, data)
            if then == "end":
                raise EndError(data)
            if then == "exit":
                break
            at = at + 1 if then == "continue" else places[then]
        return data

    def _task(self, name: str, task: dict[str, Any], raw: Any) -> tuple[Any, str]:
        given = {"k": raw["k"], "a": raw["a"]} if "input" in task else raw
        if "switch" in task:
            first, other = (next(iter(entry.values())) for entry in task["switch"])
            holds = given["k"] > int(first["when"].rpartition(" ")[2])
            return given, first["then"] if holds else other["then"]
        result = self._made(name, task, given)
        if "fork" in task:
            result = {"k": result[0]["k"], "a": result[1]["a"]}
        elif "output" in task:
            result = {"k": result["k"], "a": given["a"], "b": result["a"]}
        return result, task.get("then", "continue")

    def _made(self, name: str, task: dict[str, Any], given: Any) -> Any:
        if "call" in task:
            return self._answer(name, {"k": given["k"], "a": given["a"]})
        if "set" in task:
            told = self._error if "$error" in task["set"]["a"] else given["a"]
            return {"k": given["k"] + int(task["set"]["k"].split()[3]), "a": told, "s": task["set"]["s"]}
        return self._held(task, given)

    def _held(self, task: dict[str, Any], given: Any) -> Any:
        if "fork" in task:
            return [self._tasks([entry], given) for entry in task["fork"]["branches"]]
        if "for" in task:
            for _ in (1, 2):
                given = self._tasks(task["do"], given)
            return given
        if "try" in task:
            return self._tried(task, given)
        return self._tasks(task["do"], given)

    def _tried(self, task: dict[str, Any], given: Any) -> Any:
        try:
            return self._tasks(task["try"], given)
        except FailsError as error:
            before, self._error = self._error, str(error)
            given = self._tasks(task["catch"]["do"], given) if "do" in task["catch"] else given
            self._error = before
            return given
