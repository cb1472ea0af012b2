"""What a state of the JSONPath flavour takes and hands on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from weft.cli.importing.asl.intrinsics import payload
from weft.cli.importing.asl.paths import keys_of, put, resolve
from weft.cli.importing.nodes import CannotTranslateError, Missing, Node, Record

if TYPE_CHECKING:
    from weft.cli.importing.asl.view import StateView

__all__ = ["entered", "left", "payload_of", "placed", "read", "selected"]


def read(view: StateView, path: Any, member: str, node: Node, *, item: bool = False) -> Node:
    """Return what a path of the state leads to; what cannot be said is noted, and fails when it is used."""
    try:
        return resolve(path, view.context(node, item=item))
    except CannotTranslateError as error:
        view.lost(member, str(error))
        return Missing(f"not carried over: {path}"[:200])


def payload_of(view: StateView, template: Any, member: str, node: Node, *, item: bool = False) -> Node:
    """Return a payload template of the state."""
    context = view.context(node, item=item)
    return payload(template, context, f"{view.path}.{member}", view.notes.lost)


def entered(view: StateView) -> Node:
    """Apply ``InputPath`` and ``Parameters``."""
    state = view.state
    node = view.raw
    if "InputPath" in state:
        node = Record() if state["InputPath"] is None else read(view, state["InputPath"], "InputPath", node)
    return payload_of(view, state["Parameters"], "Parameters", node) if "Parameters" in state else node


def selected(view: StateView, result: Node) -> Node:
    """Apply ``ResultSelector``."""
    if "ResultSelector" not in view.state:
        return result
    return payload_of(view, view.state["ResultSelector"], "ResultSelector", result)


def placed(view: StateView, path: Any, member: str, result: Node) -> Node:
    """Put a result where a ``ResultPath`` says."""
    if path is None:
        return view.raw
    try:
        return put(view.raw, keys_of(path if isinstance(path, str) else ""), result)
    except CannotTranslateError as error:
        view.lost(member, str(error))
        return result


def left(view: StateView, given: Node, result: Node) -> Node:  # noqa: ARG001 - the same for both flavours
    """Apply ``ResultSelector``, ``ResultPath`` and ``OutputPath``."""
    node = placed(view, view.state.get("ResultPath", "$"), "ResultPath", selected(view, result))
    if "OutputPath" not in view.state:
        return node
    return (
        Record()
        if view.state["OutputPath"] is None
        else read(view, view.state["OutputPath"], "OutputPath", node)
    )
