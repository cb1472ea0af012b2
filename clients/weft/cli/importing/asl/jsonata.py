"""The JSONata flavour: what of its expressions can be said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from weft.cli.importing.asl.jsonata_parser import translate
from weft.cli.importing.nodes import CannotTranslateError, Expr, Items, Missing, Node, Record, node_of

if TYPE_CHECKING:
    from weft.cli.importing.asl.view import StateView

__all__ = ["caught_state", "condition", "entered", "is_expression", "left", "output", "value"]


def is_expression(text: Any) -> bool:
    """Tell whether a value is ``{% … %}``."""
    return isinstance(text, str) and text.strip().startswith("{%") and text.strip().endswith("%}")


def entered(view: StateView) -> Node:
    """Apply ``Arguments``."""
    if "Arguments" not in view.state:
        return view.raw
    return value(view, view.state["Arguments"], "Arguments", view.raw, view.raw)


def left(view: StateView, result: Node) -> Node:
    """Apply ``Output``."""
    if view.state["Type"] in {"Wait", "Choice", "Pass", "Succeed"} or "Output" in view.state:
        return output(view, view.state, "", result)
    return result


def output(view: StateView, holder: dict[str, Any], path: str, result: Node) -> Node:
    """Return the ``Output`` of a state or a rule of it, or else the result."""
    if "Output" not in holder:
        return result
    return value(view, holder["Output"], f"{path}.Output".lstrip("."), view.raw, result)


def caught_state(view: StateView, catcher: dict[str, Any], path: str, error: Node) -> Node:
    """Return the data behind a handler."""
    if "Output" not in catcher:
        return error
    return value(view, catcher["Output"], f"{path}.Output", view.raw, error, error=error)


def condition(view: StateView, rule: dict[str, Any], given: Node) -> Expr:
    """Return when a rule holds."""
    if not is_expression(rule.get("Condition")):
        raise CannotTranslateError("a rule has a Condition: {% … %}")
    return _translated(view, rule["Condition"], {"input": given, "result": given}, item=False).expr()


def value(
    view: StateView,
    given: Any,
    member: str,
    raw: Node,
    result: Node,
    *,
    item: bool = False,
    error: Node | None = None,
) -> Node:
    """Return a value whose texts may be expressions; what cannot be said fails when it is used."""
    if isinstance(given, dict):
        return Record(
            {
                name: value(view, each, f"{member}.{name}", raw, result, item=item, error=error)
                for name, each in given.items()
            }
        )
    if isinstance(given, list):
        return Items(
            [
                value(view, each, f"{member}[{at}]", raw, result, item=item, error=error)
                for at, each in enumerate(given)
            ]
        )
    if not is_expression(given):
        return node_of(given)
    states = {"input": raw, "result": result, **({"errorOutput": error} if error is not None else {})}
    try:
        return _translated(view, given, states, item=item)
    except CannotTranslateError as fault:
        view.lost(member, f"{given.strip()[:80]}: {fault}")
        return Missing(f"not carried over: {given.strip()}"[:200])


def _translated(view: StateView, text: str, states: dict[str, Node], *, item: bool) -> Node:
    context = view.context(states["input"], item=item)
    return translate(text.strip()[2:-2], states, context)
