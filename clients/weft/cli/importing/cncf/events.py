"""Tasks about events: emit and listen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from weft.cli.importing.cncf.view import TaskView
from weft.cli.importing.naming import Namer, identifier
from weft.cli.importing.nodes import Expr, Items, Node, Value
from weft.cli.importing.objects import as_object
from weft.cli.importing.operators import choose
from weft.cli.importing.pieces import Piece, StepDict

__all__ = ["emit_task", "listen_task"]

_OWN: Final = frozenset(["type", "data"])


def emit_task(view: TaskView) -> Piece:
    """Record an event."""
    event = view.task["emit"].get("event")
    values = event.get("with") if isinstance(event, dict) else None
    attributes = values if isinstance(values, dict) else {}
    kind = attributes.get("type")
    if not isinstance(kind, str) or "${" in kind:
        view.lost("emit.event.with.type", "is no literal text; it is `event`")
        kind = "event"
    for name in attributes:
        if name not in _OWN:
            view.lost(f"emit.event.with.{name}", "an event has a type and data")
    emit: dict[str, Any] = {"type": kind}
    if "data" in attributes:
        emit["data"] = as_object(view.value(attributes["data"], "emit.event.with.data"))[0]
    step: StepDict = {"id": view.id, "emit": emit}
    view.timeout(step)
    return view.leave(step, view.input)


def listen_task(view: TaskView) -> Piece:
    """Wait for one event, any of some, or all of them; the result is a list of what they say."""
    listen = view.task["listen"]
    to = listen.get("to")
    wanted = to if isinstance(to, dict) else {}
    for name in listen:
        if name != "to" and (name, listen[name]) != ("read", "data"):
            view.lost(f"listen.{name}", "a signal is what it says")
    if "foreach" in view.task:
        view.lost("foreach", "events are waited for once, and not one after another")
    for name in ("until",):
        if name in wanted:
            view.lost(f"listen.to.{name}", "events are waited for once; let a loop wait for more")
    one = wanted.get("one")
    if isinstance(one, dict):
        step = _signal(view, one, "listen.to.one")
        view.timeout(step)
        return view.leave({**step, "id": view.id}, Items([Expr(f"steps.{view.id}", object=True)]))
    return _several(view, wanted)


def _several(view: TaskView, wanted: Mapping[str, Any]) -> Piece:
    kind = "all" if "all" in wanted else "any"
    events = wanted.get(kind)
    filters = [each for each in events if isinstance(each, dict)] if isinstance(events, list) else []
    if not filters:
        view.lost(
            "listen.to", "which events are waited for has to be said; it is a signal of the task's name"
        )
        filters = [{"with": {"type": view.vertex.name}}]
    names = Namer({"errors"})
    branches: list[dict[str, Any]] = []
    results: list[Node] = []
    for index, each in enumerate(filters):
        step = _signal(view, each, f"listen.to.{kind}[{index}]")
        view.timeout(step)
        name = names(str(step["signal"]["name"]), "event")
        branches.append(
            {"name": name, "steps": [{"id": view.scope.ids(f"{view.vertex.name} {name}"), **step}]}
        )
        results.append(Expr(f"steps.{view.id}").member(name))
    parallel: dict[str, Any] = {"branches": branches}
    if kind == "any":
        parallel["join"] = 1
        results = [_first(results)]
    return view.leave({"id": view.id, "parallel": parallel}, Items(results))


def _first(results: list[Node]) -> Node:
    """Return the one that is there."""
    *others, found = results
    for each in reversed(others):
        found = choose(each.present(), each, found)
    return found


def _signal(view: TaskView, event: Mapping[str, Any], path: str) -> StepDict:
    attributes = event.get("with")
    values = attributes if isinstance(attributes, dict) else {}
    kind = values.get("type")
    if not isinstance(kind, str):
        view.lost(f"{path}.with.type", "is no text; the signal has the task's name")
        kind = view.vertex.name
    for name in values:
        if name != "type":
            view.lost(f"{path}.with.{name}", "a signal is taken by its name and correlation only")
    signal: dict[str, Any] = {"name": identifier(kind, "event")}
    view.check(path, f"events of the type {kind!r} have to come as the signal {signal['name']!r}")
    correlation = _correlation(view, event.get("correlate"), f"{path}.correlate")
    if correlation:
        signal["correlation"] = correlation
    return {"signal": signal}


def _correlation(view: TaskView, correlate: Any, path: str) -> str:
    if not isinstance(correlate, dict) or not correlate:
        return ""
    expected = [each.get("expect") for each in correlate.values() if isinstance(each, dict)]
    if len(correlate) > 1 or len(expected) != 1 or expected[0] is None:
        view.lost(path, "a signal has one correlation, and it is known what it has to be")
        return ""
    view.check(path, "who sends the signal gives what `from` takes out of the event as its correlation")
    node = view.value(expected[0], f"{path}.expect")
    text = node.template() if isinstance(node, Value | Expr) else ""
    return text if isinstance(text, str) else str(text)
