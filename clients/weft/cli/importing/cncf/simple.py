"""Tasks that call nothing and hold nothing: set, switch, wait, raise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from weft.cli.importing.cncf.durations import as_text, seconds_of
from weft.cli.importing.cncf.view import TaskView
from weft.cli.importing.naming import reason
from weft.cli.importing.nodes import Expr, Node
from weft.cli.importing.objects import as_object
from weft.cli.importing.pieces import Exit, Piece, StepDict, leave_by

__all__ = ["raise_task", "set_task", "switch_task", "wait_task"]


def set_task(view: TaskView) -> Piece:
    """Make new data: a variable holds it; at the end it is the result."""
    left = view.output(view.value(view.task["set"], "set"))
    exported = view.export(left)
    if view.ends and exported is None:
        result = as_object(view.document.result(left))[0]
        return Piece(steps=[{"id": view.id, "succeed": {"result": result}}])
    variable = view.scope.data()
    values = {variable: left.template(), **(exported["set"] if exported else {})}
    step: StepDict = {"id": view.id, "set": values}
    kept = Expr(f"vars.{variable}", object=left.is_object)
    return Piece(steps=[step], exits=[leave_by(step, view.vertex.follow, kept, output=False)])


def switch_task(view: TaskView) -> Piece:
    """Go on by conditions; without a default, with the next task."""
    switch: dict[str, Any] = {"cases": []}
    step = {"id": view.id, "switch": switch}
    state = view.output(view.input)
    exits: list[Exit] = []
    default = view.vertex.follow
    for index, entry in enumerate(view.task["switch"]):
        ((name, case),) = entry.items()
        target = view.vertex.ways[case.get("then", "continue")]
        if "when" not in case:
            default = target
            continue
        made: dict[str, Any] = {"when": view.condition(case["when"], f"switch[{index}].{name}.when")}
        switch["cases"].append(made)
        exits.append(Exit(target=target, state=state, connect=_next_of(made)))
    exits.append(Exit(target=default, state=state, connect=lambda to: switch.update(default=to), needed=True))
    if "export" in view.task:
        view.lost("export", "a switch exports nothing; let the task that follows do it")
    if not switch["cases"]:
        switch["cases"].append({"when": "${true}"})
        exits.append(Exit(target=default, state=state, connect=_next_of(switch["cases"][0])))
    return Piece(steps=[step], exits=exits)


def _next_of(case: dict[str, Any]) -> Callable[[str], None]:
    return lambda to: case.update(next=to)


def wait_task(view: TaskView) -> Piece:
    """Wait for some time."""
    given = view.task["wait"]
    seconds = seconds_of(given)
    if seconds is not None:
        duration = as_text(seconds)
    elif isinstance(given, dict):
        duration = _computed(view, given)
    else:
        duration = str(view.value(given, "wait").template())
        if not duration.startswith("${"):
            view.lost("wait", f"{given!r} is no duration"[:200])
            duration = "0s"
    step: StepDict = {"id": view.id, "wait": {"duration": duration}}
    view.timeout(step)
    return view.leave(step, view.input)


def _computed(view: TaskView, given: Mapping[str, Any]) -> str:
    units = {"weeks": "w", "days": "d", "hours": "h", "minutes": "m", "seconds": "s", "milliseconds": "ms"}
    parts = []
    for name, value in given.items():
        if name not in units:
            view.lost(f"wait.{name}", "is no unit of time")
            continue
        parts.append(f"{_inserted(view.value(value, f'wait.{name}'))}{units[name]}")
    return "".join(parts) or "0s"


def _inserted(node: Node) -> str:
    template = node.template()
    return template if isinstance(template, str) else str(template)


def raise_task(view: TaskView) -> Piece:
    """Fail."""
    given = view.task["raise"].get("error")
    error = view.document.use("errors").get(given) if isinstance(given, str) else given
    if not isinstance(error, dict):
        view.lost("raise.error", "is not defined")
        error = {}
    kind = error.get("type")
    if not isinstance(kind, str) or "${" in kind:
        view.lost("raise.error.type", "a reason is no expression; it is FAILED")
        kind = "FAILED"
    fail = {"reason": reason(kind.rstrip("/").rpartition("/")[2])}
    text = next((error[name] for name in ("detail", "title") if isinstance(error.get(name), str)), "")
    if text:
        fail["message"] = str(view.value(text, "raise.error.detail").template())
    if "status" in error:
        view.check("raise.error.status", "errors are told apart by their reason, and have no status")
    return Piece(steps=[{"id": view.id, "fail": fail}])
