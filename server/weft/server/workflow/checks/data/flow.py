"""What a step is given without a template: each name, and where its value may come from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from weft.core.reasons import Rule
from weft.server.workflow.checks.basis.compat import ALL_TYPES, disjoint, show_types
from weft.server.workflow.checks.basis.places import Spot
from weft.server.workflow.checks.basis.report import Known
from weft.server.workflow.checks.basis.shapes import Shape, Value
from weft.server.workflow.checks.data.state import Ledger, Room, State
from weft.server.workflow.model import Severity

__all__ = ["Pool", "Source", "Taker", "check_implicit"]

_NEVER: Final[frozenset[str]] = frozenset()
_MOST: Final = 100
"""Sources of one name that are looked at; those before them may give anything."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value may come from."""

    label: str
    """Such as ``the output of step 'extract'``."""
    types: frozenset[str]
    """What it may be."""
    certain: bool
    """Whether it is always there."""
    why: str
    """Why it may not be there."""


_MANY: Final = Source("earlier steps", ALL_TYPES, certain=True, why="")


class Pool:
    """What is there before a step: the workflow input, variables, and all earlier outputs.

    An item of a map that is an object comes before the outputs of the map's own
    steps, and behind all that ran before the map. Later ones win. What may have
    any member hides what is known of those before it.

    Attributes:
        open: Whether any name may be there.
    """

    def __init__(self, ledger: Ledger, state: State, room: Room) -> None:
        self._ledger = ledger
        self._state = state
        self._items = [(first - 0.5, item) for first, item in room.items if "object" in item.types]
        vague_items = [at for at, item in self._items if item.shape.vague]
        self._vague: float = max(ledger.last_vague(state), *vague_items, -1)
        self.open = self._vague >= 0 or ledger.input.vague
        self._found: dict[str, list[Source]] = {}

    def sources(self, name: str) -> list[Source]:
        """Return where the value may come from; the last one wins if it is there."""
        if name not in self._found:
            self._found[name] = self._find(name)
        return self._found[name]

    def _find(self, name: str) -> list[Source]:
        """Look from the last back: to what is certain, or to what may have any member."""
        found: list[Source] = []
        for source in self._latest_first(name):
            found.append(_MANY if len(found) == _MOST else source)
            if found[-1].certain:
                break
        return found[::-1]

    def _latest_first(self, name: str) -> Iterator[Source]:
        """Yield sources, the last first: outputs, and before those of its list the item of a map."""
        items = sorted(self._items, key=lambda it: it[0])
        for place, shape, sure in self._ledger.makers(name, self._state):
            while items and items[-1][0] > place.index:
                at, item = items.pop()
                yield from self._of_item(at, item, name)
            if place.index < self._vague:
                return
            yield _of_step(place.step.id, shape, name, sure=sure)
        for at, item in reversed(items):
            yield from self._of_item(at, item, name)
        if self._vague < 0:
            yield from self._of_start(name)

    def _of_item(self, at: float, item: Value, name: str) -> Iterator[Source]:
        if at >= self._vague and not _is_absent(item.shape, name):
            certain = item.types == {"object"} and item.shape.requires(name)
            yield Source("the item", item.shape.types(name), certain, "it is optional in the item")

    def _of_start(self, name: str) -> Iterator[Source]:
        """Yield what is there before any step: variables win over the input."""
        value, sure, possible = self._ledger.variable(name, self._state)
        if possible:
            why = f"the variable {name!r} is not set on every way here"
            yield Source(f"the variable {name!r}", value.types, sure, why)
        if not _is_absent(self._ledger.input, name):
            yield _of_shape(self._ledger.input, name, "the workflow input")

    def is_certain(self, name: str) -> bool:
        """Tell whether it is always there: in one of the sources, or in one on each way."""
        if any(source.certain for source in self.sources(name)):
            return True
        return self._vague < 0 and name in self._state.joint

    def is_known(self, name: str) -> bool:
        """Tell whether the value can come from nowhere but the sources."""
        sources = self.sources(name)
        return bool(sources) and (self.is_certain(name) or not self.open)

    def known(self) -> Known:
        """Return the names that are there."""
        items = (name for _, item in self._items for name in item.shape.names)
        names = (*self._ledger.input.names, *self._ledger.variables, *items)
        return Known((*names, *self._ledger.names(self._state)))


def _is_absent(shape: Shape, name: str) -> bool:
    return name not in shape.names and not shape.requires(name)


def _of_shape(shape: Shape, name: str, label: str) -> Source:
    return Source(label, shape.types(name), shape.requires(name), f"it is optional in {label}")


def _of_step(step_id: str, shape: Shape, name: str, *, sure: bool) -> Source:
    label = f"the output of step {step_id!r}"
    if sure:
        return _of_shape(shape, name, label)
    return Source(label, shape.types(name), certain=False, why=f"{step_id!r} does not run on every way here")


@dataclass(frozen=True, slots=True)
class Taker:
    """Who takes values by name."""

    label: str
    """Such as ``the action 'take' of 's'``."""
    takes: Shape
    """What it takes."""
    member: str = ""
    """Where it stands in its step; empty: it is the step."""


def check_implicit(spot: Spot, taker: Taker, pool: Pool) -> None:
    """Report what somebody needs and nobody gives, and what cannot be of its type."""
    takes = taker.takes
    for name in dict.fromkeys((*takes.required, *takes.names)):
        if takes.requires(name) and not pool.open:
            if not pool.sources(name):
                _missing(spot, taker, name, pool)
            elif not pool.is_certain(name):
                _perhaps_missing(spot, taker, name, pool)
        if pool.is_known(name):
            _check_types(spot, taker, name, pool)


def _missing(spot: Spot, taker: Taker, name: str, pool: Pool) -> None:
    message = f"{taker.label} requires {name!r}, which neither the workflow input nor an earlier step gives"
    spot.add(taker.member, Rule.INPUT_MISSING, message, lambda: _suggest(name, pool))


def _suggest(name: str, pool: Pool) -> str:
    hint = pool.known().hint(name)
    advice = "declare it in `input_schema`, or give the step an `input`"
    return f"{hint} Otherwise {advice}" if hint else advice


def _perhaps_missing(spot: Spot, taker: Taker, name: str, pool: Pool) -> None:
    why = pool.sources(name)[-1].why
    message = f"{name!r} may be missing: {why}, but {taker.label} requires it"
    spot.warn(taker.member, Rule.INPUT_MISSING, message)


def _check_types(spot: Spot, taker: Taker, name: str, pool: Pool) -> None:
    wanted = taker.takes.types(name)
    sources = pool.sources(name)
    if wanted in {ALL_TYPES, _NEVER} or not all(disjoint(source.types, wanted) for source in sources):
        return
    last = sources[-1]
    message = (
        f"{name!r} is {show_types(last.types)} in {last.label} but {taker.label} takes {show_types(wanted)}"
    )
    certain = taker.takes.requires(name) or pool.is_certain(name)
    spot.add(
        taker.member, Rule.TYPE_MISMATCH, message, severity=Severity.ERROR if certain else Severity.WARNING
    )
