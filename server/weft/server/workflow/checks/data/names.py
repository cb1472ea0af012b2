"""What is wrong with the names in an expression, at the point where it stands."""

from __future__ import annotations

import re
from functools import partial
from typing import Final

from weft.core.reasons import Rule
from weft.server.workflow.checks.basis.compat import FRACTION
from weft.server.workflow.checks.basis.places import Listing, Place, Spot, cut
from weft.server.workflow.checks.basis.report import Known
from weft.server.workflow.checks.data.visible import Taken, Visible
from weft.server.workflow.expressions.compiler import Names
from weft.server.workflow.expressions.expression import FUNCTIONS, TYPE_NAMES
from weft.server.workflow.expressions.numbers import Kinds, find_mix, show
from weft.server.workflow.expressions.syntax import MACROS, Mention
from weft.server.workflow.model import Severity

__all__ = ["check_names"]

_NAMESPACES: Final = frozenset({"optional"})
_NUMBERS: Final = {"integer": "int", FRACTION: "double"}
_ELSEWHERE: Final = {
    "item": "`item` is there only in the steps of a map",
    "index": "`index` is there only in the steps of a map",
    "iteration": "`iteration` is there only in the steps of a loop",
    "error": "`error` is there only behind `on_error`, in `finally`, and in what undoes a step",
    "output": "`output` is there only in a step's `output`, and in what undoes it",
}
"""What is wrong with a name that is there in other places."""


def check_names(names: Names, visible: Visible, spot: Spot) -> None:
    """Report what is wrong with the names of one expression."""
    check = _Check(names, visible, spot)
    for name in sorted(names.functions - FUNCTIONS - MACROS):
        hint = partial(Known((*FUNCTIONS, *MACROS)).hint, name)
        check.add(Rule.EXPRESSION_NAME_UNKNOWN, f"there is no function {name!r}", hint)
    for mention in names.mentions:
        check.mention(mention)
    check.numbers()


class _Check:
    """Looks at one expression."""

    def __init__(self, names: Names, visible: Visible, spot: Spot) -> None:
        self._names = names
        self._visible = visible
        self._spot = Spot(spot.at, names.path, spot.report)
        self._roots = visible.names
        self._told: set[str] = set()
        self._tested = {(it.root, *it.members) for it in names.mentions if it.tested}

    def add(self, rule: Rule, message: str, hint: object = "", severity: Severity = Severity.ERROR) -> None:
        """Note a problem of the expression."""
        self._spot.add("", rule, message, hint, severity)  # type: ignore[arg-type] # a text, or what gives one

    def mention(self, mention: Mention) -> None:
        """Look at one path."""
        if mention.root not in self._roots:
            self._unknown_root(mention.root)
            return
        if mention.root == "error" and not self._is_asked(("error",)):
            self._error(mention)
        if mention.root == "steps" and mention.members:
            self._step(mention)
        if mention.root == "vars" and mention.members:
            self._variable(mention)
        for taken in self._visible.taken(mention):
            path = (mention.root, *mention.members[: taken.depth + 1])
            only_tested = mention.tested and taken.depth == len(mention.members) - 1
            if only_tested or self._is_asked(path):
                continue
            if not self._member(mention, taken):
                break

    def _is_asked(self, path: tuple[str | int, ...]) -> bool:
        """Tell whether the expression asks for a path before it takes it."""
        if any(path[: len(test)] == test for test in self._tested):
            return True
        last = path[-1]
        return isinstance(last, str) and _is_looked_up(last, self._names.source)

    def _unknown_root(self, root: str) -> None:
        if root in TYPE_NAMES or root in _NAMESPACES:
            return
        if root in _ELSEWHERE:
            self.add(Rule.EXPRESSION_NAME_UNKNOWN, _ELSEWHERE[root])
        elif root in {"steps", "vars", "execution"} and root not in self._roots:
            names = " and ".join(f"`{name}`" for name in self._roots)
            self.add(Rule.EXPRESSION_NAME_UNKNOWN, f"there is no `{root}` here, only {names}")
        else:
            hint = Known(self._roots).hint(root)
            self.add(Rule.EXPRESSION_NAME_UNKNOWN, f"there is no value {root!r}", hint)

    def _error(self, mention: Mention) -> None:
        """Warn of a failure that there was only on some ways."""
        if self._visible.state.error_sure or self._visible.room.lost or "error" in self._visible.extra:
            return
        if any(test[0] == "error" for test in self._tested):
            return
        message = "no step has failed on some of the ways here; without `error` the step fails"
        path = show(Mention("error", mention.members[:1] or ("reason",)))
        self.add(Rule.INPUT_MISSING, message, f"use has({path}) ? {path} : …", Severity.WARNING)

    def _step(self, mention: Mention) -> None:
        name, visible = mention.members[0], self._visible
        if not isinstance(name, str) or name not in visible.known:
            hint = partial(visible.known.hint, str(name))
            self.add(Rule.EXPRESSION_NAME_UNKNOWN, f"there is no step {name!r}", hint)
            return
        bit = visible.ledger.bit(name)
        if visible.room.lost or visible.state.sure >> max(bit, 0) & 1:
            return
        asked = (mention.tested and len(mention.members) == 1) or self._is_asked(("steps", name))
        if bit < 0 or not visible.state.maybe >> bit & 1:
            self._not_before(name, asked=asked)
        elif not asked:
            self._perhaps_not_run(name)

    def _not_before(self, name: str, *, asked: bool) -> None:
        """Report a step that has no output here; who asks for it is only told that it is in vain."""
        if name in self._told:
            return
        self._told.add(name)
        target, place = self._visible.whole.by_id[name], self._visible.place
        own = place.step.id if place else "the end"
        message = f"the step {cut(name)!r} does not run before {cut(own)!r}, so it has no output yet"
        hint = ""
        if place is not None and target.listing is not place.listing:
            outer = _holder(target, place.listing)
            if outer is not None:
                message = f"the step {cut(name)!r} runs in {target.listing}: it is not visible behind it"
                hint = f"use steps.{outer.step.id}, the output of the step around it"
        severity = Severity.WARNING if asked else Severity.ERROR
        self.add(Rule.EXPRESSION_NAME_UNKNOWN, message, hint, severity)

    def _perhaps_not_run(self, name: str) -> None:
        if name in self._told:
            return
        self._told.add(name)
        test = f"has(steps.{name})" if name.isidentifier() else f'"{name}" in steps'
        message = f"the step {cut(name)!r} does not run on every way here; without its output the step fails"
        self.add(Rule.INPUT_MISSING, message, f"use {test} ? … : …", Severity.WARNING)

    def _variable(self, mention: Mention) -> None:
        name, visible = mention.members[0], self._visible
        if not isinstance(name, str) or visible.room.lost:
            return
        known = Known(visible.ledger.variables)
        _, sure, possible = visible.ledger.variable(name, visible.state)
        if name not in known:
            hint = partial(known.hint, name)
            message = f"no step sets a variable {cut(name)!r}"
            self.add(Rule.EXPRESSION_NAME_UNKNOWN, message, hint)
        elif sure or mention.tested or self._is_asked(("vars", name)):
            return
        elif not possible:
            self.add(Rule.EXPRESSION_NAME_UNKNOWN, f"the variable {name!r} is not set before this step")
        else:
            path = f"has(vars.{name})" if name.isidentifier() else f'"{name}" in vars'
            message = f"the variable {name!r} is not set on every way here; without it the step fails"
            self.add(Rule.INPUT_MISSING, message, f"use {path} ? … : …", Severity.WARNING)

    def _member(self, mention: Mention, taken: Taken) -> bool:
        """Look at one member that is taken; tell whether those behind it are worth a look."""
        shape, member = taken.shape, taken.member
        if shape.lacks(member):
            words = "has" if shape.strict else "declares"
            severity = Severity.ERROR if shape.strict else Severity.WARNING
            hint = partial(Known(shape.names).hint, member)
            message = f"{taken.owner} {words} no member {member!r}"
            self.add(Rule.INPUT_UNKNOWN, message, hint, severity)
            return False
        if shape.is_optional(member):
            self._perhaps_missing(mention, taken)
            return False
        return True

    def _perhaps_missing(self, mention: Mention, taken: Taken) -> None:
        """Warn of a member that nothing asks for before it is taken."""
        end = taken.depth
        owner, path = (show(Mention(mention.root, mention.members[:to])) for to in (end, end + 1))
        member = taken.member
        test = f"has({path})" if member.isidentifier() else f'"{member}" in {owner}'
        message = f"{member!r} is optional in {taken.owner}; without it the step fails"
        self.add(Rule.INPUT_MISSING, message, f"use {test} ? {path} : …", Severity.WARNING)

    def numbers(self) -> None:
        """Warn of int beside double where the declared types let it happen."""
        mix = find_mix(self._names.group, self._kinds)
        if mix is not None:
            message = f"`{mix}` may be {mix.types}: CEL does not mix number types"
            self.add(Rule.TYPE_MISMATCH, message, f"write {mix.corrected}", Severity.WARNING)

    def _kinds(self, mention: Mention) -> Kinds:
        types = self._visible.value(mention).types - {"null"}
        return frozenset(_NUMBERS[each] for each in types) if types <= _NUMBERS.keys() else frozenset()


def _is_looked_up(member: str, source: str) -> bool:
    """Tell whether an expression asks ``"member" in …``; the cheap question comes first."""
    if f"'{member}'" not in source and f'"{member}"' not in source:
        return False
    return re.search(rf"""(['"]){re.escape(member)}\1\s+in\b""", source) is not None


def _holder(inner: Place, listing: Listing) -> Place | None:
    """Return the step of a list that holds another one."""
    owner = inner.listing.owner
    while owner is not None and owner.listing is not listing:
        owner = owner.listing.owner
    return owner
