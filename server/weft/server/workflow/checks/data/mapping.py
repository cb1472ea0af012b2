"""What somebody is given by a template: members that are taken, and that fit."""

from __future__ import annotations

from functools import partial

from weft.core.reasons import Rule
from weft.core.schema import join_path
from weft.server.workflow.checks.basis.catalog import Ports
from weft.server.workflow.checks.basis.compat import disjoint, show_types
from weft.server.workflow.checks.basis.places import Spot
from weft.server.workflow.checks.basis.report import Known
from weft.server.workflow.checks.basis.shapes import Shape, Value
from weft.server.workflow.expressions.render import SPREAD
from weft.server.workflow.expressions.template import Template
from weft.server.workflow.model import Severity

__all__ = ["check_members", "check_shape"]


def check_members(spot: Spot, label: str, ports: Ports, template: Template, gives: Value) -> None:
    """Report members that are missing, unknown or of the wrong type.

    Args:
        spot: Where the template stands.
        label: Who takes them, such as ``the action 'a' of 's'``.
        ports: What is taken.
        template: What is given.
        gives: What is known of that.
    """
    takes, given = ports.input, gives.shape
    if not given.vague:
        _check_required(spot, label, takes, template, given)
    for name in given.names:
        if takes.strict and takes.lacks(name) and given.requires(name):
            hint = partial(Known(takes.names).hint, name)
            at = _at(spot, name, template)
            at.add("", Rule.INPUT_UNKNOWN, f"{label} takes no {name!r}", hint)
        elif name not in template.literals:
            _check_type(_at(spot, name, template), (label, name), given, takes)
    named = {name: value for name, value in template.literals.items() if name in takes.names}
    for fault in ports.literal_faults(named, spot.path):
        spot.report.add(spot.at, fault.field, Rule.TYPE_MISMATCH, fault.description)


def _at(spot: Spot, name: str, template: Template) -> Spot:
    """Return where a member stands; one that is taken over from elsewhere stands in the whole."""
    own = name in template.value
    return Spot(spot.at, join_path(spot.path, [name] if own else [SPREAD]), spot.report)


def _check_required(spot: Spot, label: str, takes: Shape, template: Template, given: Shape) -> None:
    for name in takes.required:
        if given.requires(name):
            continue
        if not given.lacks(name):
            message = f"{name!r} may be missing in what is taken over, but {label} requires it"
            spot.warn("", Rule.INPUT_MISSING, message)
        elif given.strict:
            hint = partial(Known(it for it in template.value if it not in takes.names).hint, name)
            spot.add("", Rule.INPUT_MISSING, f"{label} requires {name!r}", hint)
        else:
            message = f"{label} requires {name!r}, which what is taken over does not declare"
            spot.warn("", Rule.INPUT_MISSING, message)


def _check_type(at: Spot, whose: tuple[str, str], given: Shape, takes: Shape) -> None:
    label, name = whose
    types, wanted = given.types(name), takes.types(name)
    if disjoint(types, wanted) and given.requires(name):
        message = f"{name!r} is {show_types(types)} but {label} takes {show_types(wanted)}"
        at.add("", Rule.TYPE_MISMATCH, message)


def check_shape(spot: Spot, label: str, takes: Shape, given: Shape) -> None:
    """Report what an object as a whole certainly is not."""
    for name in dict.fromkeys((*takes.required, *takes.names)):
        if takes.requires(name) and given.lacks(name):
            message = f"{label} requires {name!r}, which the item does not have"
            hint = partial(Known(given.names).hint, name)
            severity = Severity.ERROR if given.strict else Severity.WARNING
            spot.add("", Rule.INPUT_MISSING, message, hint, severity)
        elif takes.requires(name) or given.requires(name):
            types, wanted = given.types(name), takes.types(name)
            if disjoint(types, wanted):
                message = (
                    f"{name!r} is {show_types(types)} in the item but {label} takes {show_types(wanted)}"
                )
                spot.add("", Rule.TYPE_MISMATCH, message)
