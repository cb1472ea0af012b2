"""Tasks in lists in tasks, as one flat plan: each with what follows it, and who handles its errors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from weft.cli.importing.cncf.form import kind_of, named_tasks
from weft.cli.importing.naming import identifier
from weft.cli.importing.nodes import Expr, Node, Record
from weft.cli.importing.pieces import END

__all__ = ["END_ALL", "Handler", "Plan", "Vertex", "kept_error", "plan_of"]

END_ALL: Final = "#end"
"""Where ``then: end`` leads to, from inside of a list in a list."""
_ERROR: Final = {
    "type": "reason",
    "title": "reason",
    "status": "code",
    "detail": "message",
    "instance": "step",
}
"""Members of an error of the source, and of Weft."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """A ``catch`` that may take the errors of a task."""

    key: str
    """Its vertex."""
    owner: str
    """The vertex where its ``try`` begins: the data there is what it works on."""
    path: str
    """Where it stands."""
    catch: Mapping[str, Any]
    """What it says."""
    kept: str = ""
    """The variable that keeps the error for it; empty: none has to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vertex:
    """A task, or where one begins or ends that holds others."""

    key: str
    """Unique."""
    role: str
    """``task``, ``if``, ``open``, ``close``, ``catch`` or ``end``."""
    name: str
    """The name of the task."""
    path: str
    """Where it stands."""
    task: Mapping[str, Any]
    """What it says."""
    follow: str
    """What follows."""
    skip: str = END
    """What follows when its condition does not hold."""
    ways: Mapping[str, str] = field(default_factory=dict)
    """Where the directives lead that it may use."""
    handlers: tuple[Handler, ...] = ()
    """Who takes its errors, the nearest first."""
    names: Mapping[str, Node] = field(default_factory=dict)
    """Variables of expressions that it sees."""


Plan = dict[str, Vertex]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """What the tasks of one list share."""

    after: str
    """What follows the list."""
    top: bool
    """Whether the end of the list is the end of everything, if nothing follows."""
    handlers: tuple[Handler, ...] = ()
    names: Mapping[str, Node] = field(default_factory=dict)


def plan_of(
    tasks: list[dict[str, Any]], path: str, *, top: bool, names: Mapping[str, Node]
) -> tuple[str, Plan]:
    """Return where a list of tasks begins, and its plan."""
    plan: Plan = {}
    _plan_list(tasks, path, _Place(after=END, top=top, names=names), plan)
    if any(END_ALL in (vertex.follow, *vertex.ways.values()) for vertex in plan.values()):
        plan[END_ALL] = Vertex(key=END_ALL, role="end", name="end", path=path, task={}, follow=END)
    return _head(*next(_keyed(tasks, path))), plan


def _keyed(tasks: list[dict[str, Any]], path: str) -> Any:
    for index, (name, task) in enumerate(named_tasks(tasks)):
        yield f"{path}[{index}].{name}", task


def _head(key: str, task: Mapping[str, Any]) -> str:
    """Return the vertex where a task begins."""
    if "if" in task:
        return f"{key}#if"
    return f"{key}#open" if kind_of(dict(task)) in {"do", "try"} else key


def _plan_list(tasks: list[dict[str, Any]], path: str, place: _Place, plan: Plan) -> None:
    keyed = list(_keyed(tasks, path))
    names = [name for name, _ in named_tasks(tasks)]
    heads = {name: _head(key, task) for name, (key, task) in zip(names, keyed, strict=True)}
    ways = {**heads, "exit": place.after, "end": END if place.top else END_ALL}
    for index, (name, (key, task)) in enumerate(zip(names, keyed, strict=True)):
        following = heads[names[index + 1]] if index + 1 < len(names) else place.after
        own = {**ways, "continue": following}
        _plan_task(name, key, task, own, place, plan)


def _plan_task(
    name: str, key: str, task: Mapping[str, Any], ways: Mapping[str, str], place: _Place, plan: Plan
) -> None:
    follow = ways[str(task.get("then", "continue"))]
    common: dict[str, Any] = {
        "name": name,
        "path": key,
        "task": task,
        "ways": ways,
        "handlers": place.handlers,
        "names": place.names,
    }

    def add(suffix: str, role: str, target: str, **rest: Any) -> None:
        plan[key + suffix] = Vertex(**{**common, "key": key + suffix, "role": role, "follow": target, **rest})

    if "if" in task:
        inner = _head(key, {each: value for each, value in task.items() if each != "if"})
        add("#if", "if", inner, skip=ways["continue"])
    kind = kind_of(dict(task))
    if kind not in {"do", "try"}:
        add("", "task", follow)
        return
    body = task[kind]
    add("#close", "close", follow)
    add("#open", "open", _head(*next(_keyed(body, f"{key}.{kind}"))))
    inside = _Place(after=f"{key}#close", top=False, handlers=place.handlers, names=place.names)
    if kind == "try":
        inside = _plan_catch(key, task, inside, add, plan)
    _plan_list(body, f"{key}.{kind}", inside, plan)


def kept_error(key: str, task: Mapping[str, Any]) -> str:
    """Return the variable that keeps the error of a ``try``; empty: it is there where it is used.

    That is not so when others may come meanwhile, or when it comes out of a loop.
    """
    inside, behind = json.dumps(task["try"]), json.dumps(task["catch"])
    needed = '"then"' in inside or '"try"' in behind
    return identifier(f"{key} error", "error") if needed and ("$" in behind or 'hen": ' in behind) else ""


def _plan_catch(key: str, task: Mapping[str, Any], inside: _Place, add: Any, plan: Plan) -> _Place:
    """Plan what a ``catch`` does; return the place of the tasks that it looks after."""
    catch = task["catch"]
    variable = catch.get("as") if isinstance(catch.get("as"), str) else "error"
    kept = kept_error(key, task)
    owner = f"vars.{kept}" if kept else "error"
    error = Record({name: Expr(f"{owner}.{own}") for name, own in _ERROR.items()})
    names = {**inside.names, f"${variable}": error}
    path = f"{key}.catch.do"
    target = _head(*next(_keyed(catch["do"], path))) if "do" in catch else f"{key}#close"
    add("#catch", "catch", target, names=names)
    if "do" in catch:
        handling = _Place(after=inside.after, top=False, handlers=inside.handlers, names=names)
        _plan_list(catch["do"], path, handling, plan)
    handler = Handler(key=f"{key}#catch", owner=f"{key}#open", path=f"{key}.catch", catch=catch, kept=kept)
    return _Place(after=inside.after, top=False, handlers=(handler, *inside.handlers), names=inside.names)
