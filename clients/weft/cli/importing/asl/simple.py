"""States that call nothing and hold nothing: Pass, Choice, Wait, Succeed, Fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from weft.cli.importing.asl import data, jsonata
from weft.cli.importing.asl.choices import condition
from weft.cli.importing.naming import reason
from weft.cli.importing.nodes import CannotTranslateError, Expr, Missing, Node, Text, Value, node_of
from weft.cli.importing.objects import as_object
from weft.cli.importing.pieces import END, Exit, Piece, StepDict, leave_by

if TYPE_CHECKING:
    from weft.cli.importing.asl.view import StateView

__all__ = ["choice_state", "fail_state", "held", "pass_state", "succeed_state", "wait_state"]


def pass_state(view: StateView) -> Piece:
    """Change the data: a variable holds it; at the end it is the result."""
    given = view.entered()
    result = node_of(view.state["Result"]) if "Result" in view.state else given
    state = view.left(given, result)
    assigned = view.assign(view.state.get("Assign"), "Assign", result)
    if view.target == END and view.machine.ends_all and assigned is None:
        step = view.described({"succeed": {"result": as_object(state)[0]}})
        return Piece(steps=[step])
    if view.target == END and assigned is None:
        step = view.described({"wait": {"duration": "0s"}})
        return Piece(steps=[step], exits=[leave_by(step, END, state)])
    piece = held(view, state)
    if assigned is not None:
        (leaving,) = piece.exits
        piece.steps[-1]["next"] = assigned["id"]
        piece.steps.append(assigned)
        piece.exits = [leave_by(assigned, view.target, leaving.state, output=False)]
    return piece


def held(view: StateView, state: Node) -> Piece:
    """Return a step that keeps data: in a variable, or, where those would be shared, as its output."""
    scope = view.machine.scope
    if scope.alone:
        variable = scope.data()
        template = state.template()
        if template == f"${{vars.{variable}}}":
            step = view.described({"wait": {"duration": "0s"}})
        else:
            step = view.described({"set": {variable: template}})
        kept = Expr(f"vars.{variable}", object=state.is_object)
        return Piece(steps=[step], exits=[leave_by(step, view.target, kept, output=False)])
    output, wrapped = as_object(state, wrap=True)
    step = view.described({"wait": {"duration": "0s"}, "output": output})
    own = Expr(f"steps.{view.id}", object=True)
    return Piece(
        steps=[step],
        exits=[leave_by(step, view.target, own.member("result") if wrapped else own, output=False)],
    )


def choice_state(view: StateView) -> Piece:
    """Go on by conditions."""
    given = view.entered()
    state = view.left(given, given)
    switch: dict[str, Any] = {"cases": []}
    piece = Piece(steps=[view.described({"switch": switch})])
    for index, rule in enumerate(view.state["Choices"]):
        path = f"Choices[{index}]"
        case: dict[str, Any] = {"when": _when(view, rule, path, given)}
        switch["cases"].append(case)
        handed = jsonata.output(view, rule, path, given) if view.jsonata and "Output" in rule else state
        _go(
            view,
            piece,
            rule["Next"],
            handed,
            rule.get("Assign"),
            path,
            lambda to, case=case: case.update(next=to),
        )
    if "Default" in view.state:
        assigned = view.state.get("Assign")
        _go(view, piece, view.state["Default"], state, assigned, "", lambda to: switch.update(default=to))
    return piece


def _go(
    view: StateView, piece: Piece, target: str, state: Node, values: Any, path: str, connect: Any
) -> None:
    assigned = view.assign(values, f"{path}.Assign".lstrip("."), state)
    if assigned is None:
        piece.exits.append(Exit(target=target, state=state, connect=connect))
        return
    connect(assigned["id"])
    piece.steps.append(assigned)
    piece.exits.append(leave_by(assigned, target, state, output=False))


def _when(view: StateView, rule: dict[str, Any], path: str, given: Node) -> str:
    try:
        found = jsonata.condition(view, rule, given) if view.jsonata else condition(rule, view.context(given))
    except CannotTranslateError as error:
        view.lost(path, str(error))
        found = Missing("not carried over: a condition").expr()
    return str(found.template())


def wait_state(view: StateView) -> Piece:
    """Wait for some time, or until a time."""
    given = view.entered()
    state, wait = view.state, dict[str, Any]()
    if "Seconds" in state or "SecondsPath" in state:
        seconds = _operand(view, "Seconds", given)
        wait["duration"] = Text([seconds, "s"]).template()
    else:
        wait["until"] = _operand(view, "Timestamp", given).template()
        if not isinstance(wait["until"], str):
            view.lost("Timestamp", "is no text")
            wait["until"] = "1970-01-01T00:00:00Z"
    return view.leave(view.described({"wait": wait}), given, given)


def _operand(view: StateView, member: str, given: Node) -> Node:
    if f"{member}Path" in view.state:
        return data.read(view, view.state[f"{member}Path"], f"{member}Path", given)
    found = view.state.get(member)
    if view.jsonata:
        return jsonata.value(view, found, member, given, given)
    return Value(found)


def succeed_state(view: StateView) -> Piece:
    """End: the execution, or the list."""
    given = view.entered()
    state = view.left(given, given)
    if view.machine.ends_all:
        return Piece(steps=[view.described({"succeed": {"result": as_object(state)[0]}})])
    step: StepDict = view.described({"wait": {"duration": "0s"}})
    return Piece(steps=[step], exits=[leave_by(step, END, state)])


def fail_state(view: StateView) -> Piece:
    """Fail."""
    state = view.state
    error = state.get("Error") if isinstance(state.get("Error"), str) else ""
    cause = _fail_text(view, "Cause", state.get("Cause", ""))
    if "ErrorPath" in state or (view.jsonata and jsonata.is_expression(error)):
        view.lost("ErrorPath" if "ErrorPath" in state else "Error", "a reason is no expression; it is FAILED")
        error = "FAILED"
    fail = {"reason": reason(error) if error else "FAILED", "message": cause}
    return Piece(steps=[view.described({"fail": {name: each for name, each in fail.items() if each}})])


def _fail_text(view: StateView, member: str, literal: Any) -> str:
    if f"{member}Path" in view.state:
        path = view.state[f"{member}Path"]
        node = data.payload_of(view, {"x.$": path}, f"{member}Path", view.raw).member("x")
    elif view.jsonata:
        node = jsonata.value(view, literal, member, view.raw, view.raw)
    else:
        node = Value(literal if isinstance(literal, str) else "")
    return str(node.template())
