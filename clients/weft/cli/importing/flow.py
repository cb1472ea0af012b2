"""States and tasks that lead to each other, as one list of steps.

Each is translated with the data that it works on. Where several lead to one with
different data, a variable holds it from there on, and steps that set it are put
in between. Circles become loops.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from weft.cli.importing.graph import Unit, order
from weft.cli.importing.naming import Namer
from weft.cli.importing.nodes import Expr, Node
from weft.cli.importing.objects import WRAPPED, as_object, moved
from weft.cli.importing.pieces import MAX_ITERATIONS, Exit, Piece, Scope, Source, StepDict, leave_by

__all__ = ["Flow"]


class Flow:
    """Builds one list of steps."""

    def __init__(self, scope: Scope, source: Source, names: Iterable[str]) -> None:
        self._scope = scope
        self._source = source
        self.reached: set[str] = set()
        self._edges: Mapping[str, Sequence[str]] = {name: list(source.targets(name)) for name in names}

    def build(self, entry: str, state: Node) -> tuple[list[StepDict], bool]:
        """Return the list, and whether its output is the data in the member ``result``."""
        steps, ends = self.open(entry, state)
        return steps, self.finish(steps, ends)

    def open(self, entry: str, state: Node) -> tuple[list[StepDict], list[Exit]]:
        """Return the list, and where it ends: for who makes something of the data there."""
        begin = Exit(target=entry, state=state, connect=_nowhere)
        self.reached = {name for unit in order(self._edges, entry, self._edges) for name in unit.members}
        return self._list(self._edges, begin, back_to="")

    def _list(self, names: Collection[str], begin: Exit, back_to: str) -> tuple[list[StepDict], list[Exit]]:
        units = order(self._edges, begin.target, names, back_to)
        head_of = {name: unit.head for unit in units for name in unit.members}
        arrived: dict[str, list[Exit]] = {begin.target: [begin]}
        steps: list[StepDict] = []
        leaving: list[Exit] = []
        for unit in units:
            for exit_ in self._unit(unit, arrived.pop(unit.head, []), steps):
                if exit_.target not in head_of or exit_.target == back_to:
                    leaving.append(exit_)
                elif head_of[exit_.target] != exit_.target:
                    self._no_jump(exit_, steps)
                else:
                    arrived.setdefault(exit_.target, []).append(exit_)
        return steps, leaving

    def _unit(self, unit: Unit, arrivals: list[Exit], steps: list[StepDict]) -> list[Exit]:
        if not arrivals:
            return []  # every way to it was a jump that is not there
        state = self._merged(arrivals, always=unit.repeats)
        piece = self._loop(unit, state) if unit.repeats else self._source.translate(unit.head, state)
        if not piece.steps:
            self._pass(arrivals, state, piece.exits[0], steps)
            return piece.exits
        for connect in self._arrive(arrivals, state, str(piece.steps[0]["id"]), steps):
            connect(str(piece.steps[0]["id"]))
        steps.extend(piece.steps)
        return piece.exits

    def _merged(self, arrivals: list[Exit], *, always: bool) -> Node:
        one = len(arrivals) == 1 or len({_written(each.state) for each in arrivals}) == 1
        if one and not always:
            return arrivals[0].state
        known = all(each.state.is_object for each in arrivals)
        return Expr(f"vars.{self._scope.data()}", object=True if known else None)

    def _pass(self, arrivals: list[Exit], state: Node, way: Exit, steps: list[StepDict]) -> None:
        """Let what arrives go on as if there were nothing here."""
        connects = self._arrive(arrivals, state, self._label(way.target), steps)

        def connect(to: str) -> None:
            for each in connects:
                each(to)

        way.connect = connect
        way.step = arrivals[0].step if len(arrivals) == 1 else None
        way.needed = any(each.needed for each in arrivals)

    def _arrive(
        self, arrivals: list[Exit], state: Node, head: str, steps: list[StepDict]
    ) -> list[Callable[[str], None]]:
        """Put steps between that set the data where it has to be; return what is still to be connected."""
        if all(each.state is state for each in arrivals):
            return [each.connect for each in arrivals]
        connects: list[Callable[[str], None]] = []
        for group in _alike(arrivals, with_target=False):
            if _written(group[0].state) == _written(state):
                connects += [each.connect for each in group]
                continue
            values = {self._scope.data(): group[0].state.template()}
            step: StepDict = {"id": self._scope.ids(f"{head}_state"), "set": values}
            _connect(group, step["id"])
            steps.append(step)
            connects.append(_next(step))
        return connects

    def _loop(self, unit: Unit, state: Node) -> Piece:
        head = self._source.label(unit.head)
        goes = self._scope.names(f"{head} goes", "goes")
        begin = Exit(target=unit.head, state=state, connect=_nowhere)
        body, leaving = self._list(unit.members, begin, back_to=unit.head)
        ways = self._ways(unit.head, leaving)
        for group in _alike(leaving, with_target=True):
            body.append(self._way(group, state, {goes: ways.get(group[0].target, "")}, unit.head))
        step: StepDict = {
            "id": self._scope.ids(f"{head} loop"),
            "loop": {
                "until": f'${{vars.{goes} != ""}}',
                "max_iterations": MAX_ITERATIONS,
                "steps": body,
            },
        }
        return self._behind(step, goes, ways, state)

    def _way(self, group: list[Exit], state: Node, values: dict[str, Any], head: str) -> StepDict:
        """Return the step that ends an iteration, and says what comes then."""
        last = group[0]
        if _written(last.state) != _written(state):
            values = {self._scope.data(): last.state.template(), **values}
        name = f"{self._label(head)} again" if last.target == head else f"to {self._label(last.target)}"
        step: StepDict = {"id": self._scope.ids(name), "set": values}
        _connect(group, step["id"])
        return step

    def _label(self, target: str) -> str:
        return self._source.label(target) if target else "end"

    def _ways(self, head: str, leaving: list[Exit]) -> dict[str, str]:
        named = Namer()
        targets = dict.fromkeys(each.target for each in leaving if each.target != head)
        return {target: named(self._label(target), "way") for target in targets}

    def _behind(self, step: StepDict, goes: str, ways: dict[str, str], state: Node) -> Piece:
        """Go on behind a loop: to the only place there is, or by a switch."""
        if len(ways) <= 1:
            exits = [leave_by(step, target, state) for target in ways]
            return Piece(steps=[step], exits=exits)
        *others, last = ways
        switch: StepDict = {"cases": [{"when": f'${{vars.{goes} == "{ways[it]}"}}'} for it in others]}
        choice = {"id": self._scope.ids(f"{step['id']} goes"), "switch": switch}
        step["next"] = choice["id"]
        exits = [
            Exit(target=target, state=state, connect=_case(case))
            for target, case in zip(others, switch["cases"], strict=True)
        ]
        exits.append(
            Exit(target=last, state=state, connect=lambda to: switch.update(default=to), needed=True)
        )
        return Piece(steps=[step, choice], exits=exits)

    def _no_jump(self, exit_: Exit, steps: list[StepDict]) -> None:
        path = self._source.path(exit_.target)
        message = "this is a jump into the middle of a loop, which has no counterpart; the step fails there"
        self._scope.notes.lost(path, message)
        fail = {"reason": "NOT_CARRIED_OVER", "message": f"{path} is a jump into a loop"}
        steps.append({"id": self._scope.ids("jump"), "fail": fail})
        exit_.connect(steps[-1]["id"])

    def finish(self, steps: list[StepDict], ends: list[Exit]) -> bool:
        """Make the data at each end the output of the last step there."""
        wrap = self._scope.wraps and any(each.state.is_object is not True for each in ends)
        for group in _alike(ends, with_target=False):
            rest = [each for each in group if not self._say_output(each, wrap=wrap)]
            if rest:
                steps.append(self._last(_output(rest[0].state, wrap=wrap)))
                _connect(rest, steps[-1]["id"])
        if not self._scope.wraps and any(each.state.is_object is False for each in ends):
            self._scope.notes.check("", f"the result is no object; it stands in the member `{WRAPPED}`")
        return wrap

    @staticmethod
    def _say_output(end: Exit, *, wrap: bool) -> bool:
        if end.step is None:
            return False
        own = f"steps.{end.step['id']}"
        if wrap or end.state.template() != f"${{{own}}}":
            end.step["output"] = moved(_output(end.state, wrap=wrap), own, "output")
        return True

    def _last(self, output: dict[str, Any]) -> StepDict:
        step_id = self._scope.ids("done")
        if self._scope.top:
            return {"id": step_id, "succeed": {"result": output}}
        return {"id": step_id, "wait": {"duration": "0s"}, "output": output}


def _output(state: Node, *, wrap: bool) -> dict[str, Any]:
    return {WRAPPED: state.template()} if wrap else as_object(state)[0]


def _written(node: Node) -> str:
    return json.dumps(node.template(), sort_keys=True)


def _alike(exits: Iterable[Exit], *, with_target: bool) -> list[list[Exit]]:
    groups: dict[tuple[str, str], list[Exit]] = {}
    for each in exits:
        groups.setdefault((each.target if with_target else "", _written(each.state)), []).append(each)
    return list(groups.values())


def _connect(exits: Iterable[Exit], step_id: str) -> None:
    for each in exits:
        each.connect(step_id)


def _next(step: StepDict) -> Callable[[str], None]:
    return lambda to: step.update(next=to)


def _case(case: dict[str, Any]) -> Callable[[str], None]:
    return lambda to: case.update(next=to)


def _nowhere(_: str) -> None:
    """Begin the list: nothing leads there."""
