"""What a workflow gives in the end, held against what it promises."""

from __future__ import annotations

from weft.core.reasons import Rule
from weft.server.workflow.checks.basis.compat import disjoint, show_types
from weft.server.workflow.checks.basis.places import Spot
from weft.server.workflow.checks.basis.report import Known
from weft.server.workflow.checks.basis.shapes import Shape

__all__ = ["check_result"]


def check_result(spot: Spot, member: str, label: str, gives: Shape, wanted: Shape) -> None:
    """Report what a result certainly is not.

    Args:
        spot: Where problems are noted.
        member: Which part of it they belong to.
        label: What gives the result, such as ``the output of the last step 'a'``.
        gives: What is known of it.
        wanted: The output schema.
    """
    for name in dict.fromkeys((*wanted.required, *wanted.names)):
        given, promised = gives.types(name), wanted.types(name)
        if wanted.requires(name) and gives.lacks(name):
            _missing(spot, member, (name, label), gives)
        elif disjoint(given, promised) and (gives.requires(name) or wanted.requires(name)):
            message = f"{name!r} is {show_types(given)} in {label} but {show_types(promised)} in the result"
            spot.add(member, Rule.TYPE_MISMATCH, message)
    for name in gives.required if wanted.strict else ():
        if wanted.lacks(name):
            message = f"{label} always has {name!r}, which the result must not have"
            spot.add(member, Rule.INPUT_UNKNOWN, message)


def _missing(spot: Spot, member: str, what: tuple[str, str], gives: Shape) -> None:
    name, label = what
    verb = "has" if gives.strict else "declares"
    hint = Known(gives.names).hint(name)
    message = f"the result requires {name!r}, but {label} {verb} no such member"
    if gives.strict:
        spot.add(member, Rule.INPUT_MISSING, message, hint)
    else:
        spot.warn(member, Rule.INPUT_MISSING, message, hint)
