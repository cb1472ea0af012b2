"""States that hold machines: Parallel and Map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from weft.cli.importing.asl import data, jsonata
from weft.cli.importing.asl.form import processor_of
from weft.cli.importing.asl.resources import resource_of
from weft.cli.importing.naming import Namer, service_name
from weft.cli.importing.nodes import Expr, Items, Node, Record
from weft.cli.importing.objects import WRAPPED, as_object
from weft.cli.importing.pieces import NeedsVariablesError, Piece, StepDict

if TYPE_CHECKING:
    from weft.cli.importing.asl.view import StateView

__all__ = ["map_state", "parallel_state"]


def parallel_state(view: StateView) -> Piece:
    """Run machines at the same time; the result is a list of theirs."""
    given = view.entered()
    names, branches, results = Namer({"errors"}), [], []
    own = Expr(f"steps.{view.id}", object=True)
    for index, machine in enumerate(view.state["Branches"]):
        name = names(str(machine["StartAt"]), "branch")
        scope = view.machine.scope.inner(alone=True)
        steps, wrapped = view.machine.inner(machine, f"{view.path}.Branches[{index}]", scope).build(given)
        branches.append({"name": name, "steps": steps})
        result = own.member(name)
        results.append(result.member(WRAPPED) if wrapped else Expr(result.text, object=True))
    _no_retry(view)
    return view.leave(view.described({"parallel": {"branches": branches}}), given, Items(results))


def _no_retry(view: StateView) -> None:
    if view.state.get("Retry"):
        view.lost("Retry", "only calls of actions are tried again, not what holds them")


def map_state(view: StateView) -> Piece:
    """Run a machine for each item; the result is a list of theirs."""
    given = view.entered() if view.jsonata or "ItemProcessor" in view.state else _legacy_input(view)
    spec: dict[str, Any] = {}
    step = view.described({"map": spec})
    before = _items(view, spec, given)
    item = _item(view, given)
    member, machine = processor_of(view.state)
    config = machine.get("ProcessorConfig")
    mode = config.get("Mode") if isinstance(config, dict) else None
    wrapped = _body(view, step, f"{view.path}.{member}", machine, item, child=mode == "DISTRIBUTED")
    _limits(view, spec)
    _no_retry(view)
    each = f".map(each, each.{WRAPPED})" if wrapped else ""
    result = Expr(f"steps.{view.id}.items{each}", object=False)
    piece = view.leave(step, given, result)
    if before is not None:
        before["next"] = view.id
        piece.steps.insert(0, before)
    return piece


def _legacy_input(view: StateView) -> Node:
    """``Parameters`` of the old form select each item's input, and not the state's."""
    parameters = view.state.pop("Parameters", None)
    given = view.entered()
    if parameters is not None:
        view.state["Parameters"] = parameters
    return given


def _items(view: StateView, spec: dict[str, Any], given: Node) -> StepDict | None:
    state = view.state
    if "ItemReader" in state:
        return _reader(view, spec, state["ItemReader"])
    node = given
    if view.jsonata and "Items" in state:
        node = jsonata.value(view, state["Items"], "Items", given, given)
    elif "ItemsPath" in state:
        node = data.read(view, state["ItemsPath"], "ItemsPath", given)
    spec["items"] = node.template()
    return None


def _reader(view: StateView, spec: dict[str, Any], reader: Any) -> StepDict:
    values = reader if isinstance(reader, dict) else {}
    resource = resource_of(str(values.get("Resource", "reader")), view.machine.document.mapping)
    step_id = view.machine.scope.ids(f"{view.name} items")
    view.calls("ItemReader", resource.service, resource.action)
    view.check("ItemReader", "the action has to give the items as a list, in its output's member `items`")
    member = "Arguments" if "Arguments" in values else "Parameters"
    node = data.payload_of(view, values.get(member, {}), f"ItemReader.{member}", view.raw)
    if values.get("ReaderConfig"):
        view.lost("ItemReader.ReaderConfig", "the action has to know how to read the items")
    spec["items"] = f"${{steps.{step_id}.items}}"
    return {
        "id": step_id,
        "service": resource.service,
        "action": resource.action,
        "input": as_object(node)[0],
    }


def _item(view: StateView, given: Node) -> Node:
    name = "ItemSelector" if "ItemSelector" in view.state or "ItemProcessor" in view.state else "Parameters"
    if name not in view.state:
        return Expr("item")
    if view.jsonata:
        return jsonata.value(view, view.state[name], name, given, given, item=True)
    return data.payload_of(view, view.state[name], name, given, item=True)


def _body(
    view: StateView, step: StepDict, path: str, machine: dict[str, Any], item: Node, *, child: bool
) -> bool:
    """Put the machine into the step, or make it a workflow that the step runs for each item."""
    scope = view.machine.scope
    document = view.machine.document
    marks = scope.notes.mark(), scope.ids.mark(), scope.names.mark(), document.mark()
    if not child and not _has_map(machine):
        try:
            inner = view.machine.inner(machine, path, scope.inner(alone=False), item=True)
            step["map"]["steps"], wrapped = inner.build(item)
        except NeedsVariablesError:
            scope.notes.forget(marks[0])
            scope.ids.forget(marks[1])
            scope.names.forget(marks[2])
            document.forget(marks[3])
        else:
            return wrapped
    return _child(view, step, path, machine, item)


def _child(view: StateView, step: StepDict, path: str, machine: dict[str, Any], item: Node) -> bool:
    taken = {definition["name"] for definition in view.machine.document.definitions}
    name, number = service_name(f"{view.machine.document.name}-{view.name}"), 2
    while name in taken:
        name, number = service_name(f"{view.machine.document.name}-{number}-{view.name}"), number + 1
    step["map"]["workflow"] = {"name": name}
    whole = isinstance(item, Record)
    step["input"] = as_object(item)[0] if whole else {"item": item.template()}
    state = Expr("input", object=True)
    return view.machine.child(machine, path, name, state if whole else state.member("item"))


def _has_map(machine: dict[str, Any]) -> bool:
    """Tell whether there is a map inside, in which ``item`` would be another one."""
    waiting: list[Any] = [machine]
    while waiting:
        for state in waiting.pop()["States"].values():
            if state["Type"] == "Map":
                return True
            waiting.extend(state.get("Branches", ()))
    return False


def _limits(view: StateView, spec: dict[str, Any]) -> None:
    state = view.state
    most = state.get("MaxConcurrency")
    if isinstance(most, int) and most > 0:
        spec["max_concurrency"] = min(most, 1_000)
    tolerated = state.get("ToleratedFailureCount")
    if isinstance(tolerated, int) and tolerated > 0:
        spec["tolerated_failures"] = tolerated
    share = state.get("ToleratedFailurePercentage")
    if share == 100:
        spec["tolerated_failures"] = -1
    elif share:
        view.lost("ToleratedFailurePercentage", "failures are tolerated by number, or all of them")
    for member, why in _NOT_THERE.items():
        if member in state:
            view.lost(member, why)


_NOT_THERE = {
    "MaxConcurrencyPath": "is a number, and no expression",
    "ToleratedFailureCountPath": "is a number, and no expression",
    "ToleratedFailurePercentagePath": "failures are tolerated by number",
    "ItemBatcher": "items are not put together; each is worked on by itself",
    "ResultWriter": "results are the output of the step; let an action write them",
}
