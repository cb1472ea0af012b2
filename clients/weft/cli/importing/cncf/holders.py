"""Tasks that hold lists of others, and run them at the same time or again: fork and for."""

from __future__ import annotations

from typing import Any

from weft.cli.importing.cncf.form import named_tasks
from weft.cli.importing.cncf.plan import plan_of
from weft.cli.importing.cncf.view import TaskView
from weft.cli.importing.flow import Flow
from weft.cli.importing.naming import Namer
from weft.cli.importing.nodes import Expr, Items, Node
from weft.cli.importing.objects import WRAPPED
from weft.cli.importing.operators import choose
from weft.cli.importing.pieces import MAX_ITERATIONS, Exit, Piece, StepDict

__all__ = ["for_task", "fork_task"]


def _flow(view: TaskView, tasks: list[dict[str, Any]], path: str, names: dict[str, Node]) -> tuple[str, Flow]:
    scope = view.scope.inner(alone=True)
    entry, plan = plan_of(tasks, path, top=False, names={**view.vertex.names, **names})
    return entry, Flow(scope, view.inner(plan, scope), plan)


def fork_task(view: TaskView) -> Piece:
    """Run branches at the same time; the result is a list of theirs, or that of the first one."""
    fork = view.task["fork"]
    names, branches, results = Namer({"errors"}), list[dict[str, Any]](), list[Node]()
    own = Expr(f"steps.{view.id}", object=True)
    for index, (label, task) in enumerate(named_tasks(fork["branches"])):
        path = f"{view.vertex.path}.fork.branches"
        entry, flow = _flow(view, [{label: task}], f"{path}[{index}]", {})
        steps, wrapped = flow.build(entry, view.input)
        name = names(label, "branch")
        branches.append({"name": name, "steps": steps})
        result = own.member(name)
        results.append(result.member(WRAPPED) if wrapped else result)
    parallel: dict[str, Any] = {"branches": branches}
    if fork.get("compete") is True:
        parallel["join"] = 1
    step: StepDict = {"id": view.id, "parallel": parallel}
    view.timeout(step)
    return view.leave(step, _winner(results) if "join" in parallel else Items(results))


def _winner(results: list[Node]) -> Node:
    *others, found = results
    for each in reversed(others):
        found = choose(each.present(), each, found)
    return found


def for_task(view: TaskView) -> Piece:
    """Run tasks for each item, one after the other, each with the data that the one before handed on."""
    spec = view.task["for"]
    scope = view.scope
    each, at = (str(spec.get(name) or default) for name, default in (("each", "item"), ("at", "index")))
    data = scope.names(f"{view.vertex.name} data", "data")
    items = scope.names(f"{view.vertex.name} items", "items")
    item, index = scope.names(each, "item"), scope.names(at, "index")
    following = scope.names(f"{view.vertex.name} next", "next")
    source = view.expression(spec.get("in"), "for.in").template()
    begin: StepDict = {
        "id": scope.ids(f"{view.vertex.name} begins"),
        "set": {items: source, following: 0, data: view.input.template()},
        "next": view.id,
    }
    body, first = _body(view, {f"${each}": Expr(f"vars.{item}"), f"${at}": Expr(f"vars.{index}")}, data)
    taken: StepDict = {
        "id": scope.ids(f"{view.vertex.name} takes"),
        "set": {
            item: f"${{vars.{items}[vars.{following}]}}",
            index: f"${{vars.{following}}}",
            following: f"${{vars.{following} + 1}}",
        },
        "next": first,
    }
    loop = {
        "while": _while(view, (items, following, data), (each, at)),
        "max_iterations": MAX_ITERATIONS,
        "steps": [taken, *body],
    }
    step: StepDict = {"id": view.id, "loop": loop}
    view.timeout(step)
    piece = view.leave(step, Expr(f"vars.{data}", object=view.input.is_object))
    piece.steps.insert(0, begin)
    return piece


def _body(view: TaskView, names: dict[str, Node], data: str) -> tuple[list[StepDict], str]:
    """Return the steps of an iteration, which end with keeping the data, and where they begin."""
    entry, flow = _flow(view, view.task["do"], f"{view.vertex.path}.do", names)
    steps, ends = flow.open(entry, Expr(f"vars.{data}", object=view.input.is_object))
    for end in ends:
        _keep(view, steps, end, data)
    return steps, str(steps[0]["id"])


def _keep(view: TaskView, steps: list[StepDict], end: Exit, data: str) -> None:
    template = end.state.template()
    if template == f"${{vars.{data}}}" and not end.needed:
        return
    keep: StepDict = {"id": view.scope.ids(f"{view.vertex.name} keeps"), "set": {data: template}}
    steps.append(keep)
    end.connect(str(keep["id"]))


def _while(view: TaskView, kept: tuple[str, str, str], variables: tuple[str, str]) -> str:
    items, following, data = kept
    more = f"vars.{following} < size(vars.{items})"
    if "while" not in view.task:
        return f"${{{more}}}"
    item = Expr(f"vars.{items}[vars.{following}]")
    names = {f"${variables[0]}": item, f"${variables[1]}": Expr(f"vars.{following}")}
    view.names |= names
    condition = view.condition(view.task["while"], "while", Expr(f"vars.{data}"))[2:-1]
    return f"${{{more} && ({condition})}}"
