"""What a step is given by its template: names that exist, members that fit."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from weft.core.reasons import Rule
from weft.core.schema import join_path
from weft.server.workflow._catalog import Ports
from weft.server.workflow._compat import FRACTION, Shape, disjoint, show_types
from weft.server.workflow._expression import FUNCTIONS, TYPE_NAMES
from weft.server.workflow._numbers import Kinds, find_mix, show
from weft.server.workflow._render import SPREAD
from weft.server.workflow._report import Known, Report
from weft.server.workflow._syntax import MACROS, Mention
from weft.server.workflow.model import Severity, Step
from weft.server.workflow.template import SCOPE, Names, Template

__all__ = ["Visible", "check_mapping"]

_NAMESPACES = frozenset({"optional"})
_NUMBERS = {"integer": "int", FRACTION: "double"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Visible:
    """What the expressions of a step may refer to."""

    input: Shape
    """The workflow input."""
    steps: Known
    """The ids of all steps."""
    outputs: Mapping[str, Shape]
    """What each earlier step gives."""
    ordered: bool = True
    """Whether ``outputs`` is all there is; not so for a step that nothing leads to."""

    def shape(self, mention: Mention) -> tuple[Shape, str, str | int] | None:
        """Return the object whose member a path takes first: its shape, its label, the member."""
        members = mention.members
        if mention.root == "input" and members:
            return self.input, "the workflow input", members[0]
        if mention.root == "steps" and len(members) > 1 and members[0] in self.outputs:
            return self.outputs[str(members[0])], f"the output of step {members[0]!r}", members[1]
        return None


@dataclass(frozen=True, slots=True)
class _At:
    """Where a problem is noted."""

    index: int
    report: Report

    def add(
        self,
        path: str,
        rule: Rule,
        message: str,
        hint: str | Callable[[], str] = "",
        severity: Severity = Severity.ERROR,
    ) -> None:
        self.report.add(self.index, path, rule, message, hint=hint, severity=severity)


def check_mapping(
    index: int, step: Step, template: Template, ports: Ports | None, visible: Visible, report: Report
) -> None:
    """Report what is wrong with a step's template, beyond what its compilation found."""
    at = _At(index, report)
    for names in template.names:
        _check_names(at, names, step, visible)
    if ports is not None:
        _check_members(at, step, template, ports, visible)


def _check_names(at: _At, names: Names, step: Step, visible: Visible) -> None:
    for name in sorted(names.functions - FUNCTIONS - MACROS):
        hint = partial(Known((*FUNCTIONS, *MACROS)).hint, name)
        at.add(names.path, Rule.EXPRESSION_NAME_UNKNOWN, f"there is no function {name!r}", hint)
    tested = {(mention.root, *mention.members) for mention in names.mentions if mention.tested}
    for mention in names.mentions:
        if mention.root not in SCOPE:
            _check_root(at, names.path, mention)
        elif mention.root == "steps" and mention.members:
            _check_step(at, names.path, mention.members[0], step, visible)
        if not mention.tested and not _is_tested(mention, tested):
            _check_member(at, names, mention, visible)
    _check_numbers(at, names, visible)


def _is_tested(mention: Mention, tested: set[tuple[str | int, ...]]) -> bool:
    path = (mention.root, *mention.members)
    return any(path[: len(test)] == test for test in tested)


def _check_root(at: _At, path: str, mention: Mention) -> None:
    if mention.root in TYPE_NAMES or mention.root in _NAMESPACES:
        return
    hint = Known(SCOPE).hint(mention.root)
    at.add(path, Rule.EXPRESSION_NAME_UNKNOWN, f"there is no value {mention.root!r}", hint)


def _check_step(at: _At, path: str, name: str | int, step: Step, visible: Visible) -> None:
    if not isinstance(name, str) or name not in visible.steps:
        message = f"there is no step {name!r}"
        at.add(path, Rule.EXPRESSION_NAME_UNKNOWN, message, partial(visible.steps.hint, str(name)))
    elif visible.ordered and name not in visible.outputs:
        message = f"the step {name!r} does not run before {step.id!r}, so it has no output yet"
        at.add(path, Rule.EXPRESSION_NAME_UNKNOWN, message)


def _check_member(at: _At, names: Names, mention: Mention, visible: Visible) -> None:
    found = visible.shape(mention)
    if found is None:
        return
    shape, label, member = found
    if not isinstance(member, str):
        return
    if shape.lacks(member):
        _no_member(at, names.path, (shape, label, member))
    elif shape.is_optional(member):
        _perhaps_missing(at, names, mention, (label, member))


def _no_member(at: _At, path: str, found: tuple[Shape, str, str]) -> None:
    shape, label, member = found
    message = (
        f"{label} has no member {member!r}" if shape.strict else f"{label} declares no member {member!r}"
    )
    severity = Severity.ERROR if shape.strict else Severity.WARNING
    at.add(path, Rule.INPUT_UNKNOWN, message, partial(_suggest, shape, member), severity)


def _perhaps_missing(at: _At, names: Names, mention: Mention, found: tuple[str, str]) -> None:
    """Warn of a member that nothing asks for before it is taken."""
    label, member = found
    if _is_looked_up(member, names.source):
        return
    taken = mention.members.index(member)
    owner, path = (show(Mention(mention.root, mention.members[:end])) for end in (taken, taken + 1))
    test = f"has({path})" if member.isidentifier() else f'"{member}" in {owner}'
    message = f"{member!r} is optional in {label}; without it the step fails"
    at.add(names.path, Rule.INPUT_MISSING, message, f"use {test} ? {path} : …", Severity.WARNING)


def _is_looked_up(member: str, source: str) -> bool:
    """Tell whether an expression asks ``"member" in …``; the cheap question comes first."""
    if f"'{member}'" not in source and f'"{member}"' not in source:
        return False
    return re.search(rf"""(['"]){re.escape(member)}\1\s+in\b""", source) is not None


def _check_numbers(at: _At, names: Names, visible: Visible) -> None:
    """Warn of int beside double where the declared types let it happen."""
    mix = find_mix(names.group, lambda mention: _number_kinds(mention, visible))
    if mix is not None:
        message = f"`{mix}` may be {mix.types}: CEL does not mix number types"
        at.add(names.path, Rule.TYPE_MISMATCH, message, f"write {mix.corrected}", Severity.WARNING)


def _number_kinds(mention: Mention, visible: Visible) -> Kinds:
    found = visible.shape(mention)
    if found is None:
        return frozenset()
    shape, _, _ = found
    types = shape.types_at(mention.members[0 if mention.root == "input" else 1 :]) - {"null"}
    return frozenset(_NUMBERS[each] for each in types) if types <= _NUMBERS.keys() else frozenset()


def _suggest(shape: Shape, name: str) -> str:
    return Known(shape.names).hint(name)


def _check_members(at: _At, step: Step, template: Template, ports: Ports, visible: Visible) -> None:
    takes, path = ports.input, f"steps[{at.index}].input"
    action = f"the action {step.action!r} of {step.service!r}"
    for name in () if SPREAD in template.value else dict.fromkeys(takes.schema.required):
        if name not in template.value:
            given = Known(given for given in template.value if given not in takes.schema.properties)
            hint = partial(given.hint, name)
            at.add(path, Rule.INPUT_MISSING, f"{action} requires {name!r}", hint)
    for name, value in template.value.items():
        if name == SPREAD:
            continue
        if takes.strict and takes.lacks(name):
            hint = partial(_suggest, takes, name)
            at.add(join_path(path, [name]), Rule.INPUT_UNKNOWN, f"{action} takes no {name!r}", hint)
        elif name not in template.literals:
            _check_type(
                at,
                join_path(path, [name]),
                (action, name),
                _given(name, value, template, path, visible),
                takes,
            )
    named = {name: value for name, value in template.literals.items() if name in takes.schema.properties}
    for fault in ports.literal_faults(named, path):
        at.add(fault.field, Rule.TYPE_MISMATCH, fault.description)


def _check_type(at: _At, path: str, whose: tuple[str, str], given: frozenset[str], takes: Shape) -> None:
    action, name = whose
    wanted = takes.types(name)
    if disjoint(given, wanted):
        message = f"{name!r} is {show_types(given)} but {action} takes {show_types(wanted)}"
        at.add(path, Rule.TYPE_MISMATCH, message)


def _given(name: str, value: Any, template: Template, path: str, visible: Visible) -> frozenset[str]:
    """Return the types that a member with expressions may have; none when that is not known."""
    if isinstance(value, dict):
        return frozenset({"object"})
    if isinstance(value, list):
        return frozenset({"array"})
    if name in template.texts:
        return frozenset({"string"})
    own = join_path(path, [name])
    whole = next((names.whole for names in template.names if names.path == own), None)
    return _types_of_path(whole, visible) if whole else frozenset()


def _types_of_path(mention: Mention, visible: Visible) -> frozenset[str]:
    depth = 1 if mention.root == "input" else 2
    found = visible.shape(mention)
    if found is None or len(mention.members) != depth:
        return frozenset()
    shape, _, member = found
    return shape.types(member) if isinstance(member, str) else frozenset()
