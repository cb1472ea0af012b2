"""What is there at a point of a definition: on every way that leads to it, or on some."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from weft.server.workflow.checks.basis.places import Listing, Place
from weft.server.workflow.checks.basis.shapes import ANY_SHAPE, ANY_VALUE, Shape, Value, union
from weft.server.workflow.kinds import SetVariables

__all__ = ["START", "Ledger", "Room", "State"]


@dataclass(frozen=True, slots=True)
class State:
    """Sets of steps as bits, by the number that each has in the ledger."""

    sure: int = 0
    """Steps whose output is there, whatever way was taken."""
    maybe: int = 0
    """Steps whose output may be there: those, and more."""
    set_sure: int = 0
    """Steps with `set` that have run."""
    set_maybe: int = 0
    """Steps with `set` that may have run."""
    error_sure: bool = False
    """Whether a failure was handled."""
    error_maybe: bool = False
    """Whether one may have been."""
    joint: frozenset[str] = frozenset()
    """Members that some step gives on every way, though not the same one."""
    joint_sets: frozenset[str] = frozenset()
    """Variables that some step sets on every way, though not the same one."""

    def after(self, bit: int, *, sets: bool) -> State:
        """Return what is there when one more step is completed."""
        mask = 1 << bit
        more = mask if sets else 0
        return replace(
            self,
            sure=self.sure | mask,
            maybe=self.maybe | mask,
            set_sure=self.set_sure | more,
            set_maybe=self.set_maybe | more,
        )

    def handled(self) -> State:
        """Return what is there behind a handler."""
        return replace(self, error_sure=True, error_maybe=True)


_MOST: Final = 64
"""Steps that set one variable; of what more of them give nothing is known."""
START: Final = State()
"""Where an execution begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What a list of steps brings, beside what ran."""

    items: tuple[tuple[int, Value], ...] = ()
    """The items of the maps around it, the innermost last, each with the number of the map's first step."""
    iteration: bool = False
    """Whether it stands in a loop."""
    lost: bool = False
    """Whether nothing leads here: then what ran before is not known."""

    @property
    def item(self) -> Value | None:
        """The item of the innermost map."""
        return self.items[-1][1] if self.items else None


@dataclass(slots=True)
class Ledger:
    """What each step gives, in an order in which they may run."""

    input: Shape
    """The workflow's input."""
    _given: list[tuple[Place, Shape]] = field(default_factory=list)
    _bits: dict[str, int] = field(default_factory=dict)
    _values: dict[int, Value] = field(default_factory=dict)
    _sets: dict[str, dict[int, Value]] = field(default_factory=dict)
    _set_bits: dict[str, int] = field(default_factory=dict)
    _makers: dict[str, list[int]] = field(default_factory=dict)
    _vague: int = 0
    setters: int = 0
    """All steps with `set`."""

    def number(self, listing: Listing) -> None:
        """Give the steps that run their numbers, in their order, what stands in a step before it."""
        for place in listing.order:
            place.first = len(self._given)
            for body in place.bodies:
                self.number(body)
            place.index = len(self._given)
            self._given.append((place, ANY_SHAPE))
            self._bits.setdefault(place.step.id, place.index)
            if isinstance(place.step.does, SetVariables):
                self.setters |= 1 << place.index
                for name in place.step.does.values:
                    self._sets.setdefault(name, {})[place.index] = ANY_VALUE
                    self._set_bits[name] = self._set_bits.get(name, 0) | 1 << place.index

    def note(self, place: Place, value: Value) -> None:
        """Take down what a step gives."""
        shape = value.shape
        self._given[place.index] = (place, shape)
        self._values[place.index] = value
        if shape.vague:
            self._vague |= 1 << place.index
        for name in dict.fromkeys((*shape.names, *shape.required)):
            self._makers.setdefault(name, []).append(place.index)

    def note_variable(self, place: Place, name: str, value: Value) -> None:
        """Take down what a step sets a variable to."""
        self._sets[name][place.index] = value

    def bit(self, step_id: str) -> int:
        """Return the number of a step; -1 for one that never runs."""
        return self._bits.get(step_id, -1)

    def value(self, step_id: str) -> Value:
        """Return what a step gives."""
        return self._values.get(self.bit(step_id), ANY_VALUE)

    @property
    def variables(self) -> Iterable[str]:
        """The names of all variables."""
        return self._sets

    def variable(self, name: str, state: State) -> tuple[Value, bool, bool]:
        """Return what a variable is there: its value, whether it is sure, whether it may be."""
        bits = self._set_bits.get(name, 0)
        there = bits & state.set_maybe
        sure = name in state.joint_sets or bool(bits & state.set_sure)
        if there.bit_count() > _MOST:
            return ANY_VALUE, sure, True
        return union([self._sets[name][bit] for bit in _each(there)]), sure, bool(there)

    def merge(self, states: Sequence[State]) -> State | None:
        """Return what is there where several ways come together; nothing when none does."""
        if len(states) < 2:
            return states[0] if states else None
        sure, set_sure = states[0].sure, states[0].set_sure
        maybe = set_maybe = 0
        for state in states:
            sure &= state.sure
            set_sure &= state.set_sure
            maybe |= state.maybe
            set_maybe |= state.set_maybe
        return State(
            sure=sure,
            maybe=maybe,
            set_sure=set_sure,
            set_maybe=set_maybe,
            error_sure=all(state.error_sure for state in states),
            error_maybe=any(state.error_maybe for state in states),
            joint=_common(it.joint | self._given_by(it.sure & ~sure) for it in states),
            joint_sets=_common(it.joint_sets | self._set_by(it.set_sure & ~set_sure) for it in states),
        )

    def _given_by(self, bits: int) -> frozenset[str]:
        """Return the members that some of these steps always give."""
        if not bits:
            return frozenset()
        return frozenset(name for bit in _each(bits) for name in self._given[bit][1].required)

    def _set_by(self, bits: int) -> frozenset[str]:
        if not bits:
            return frozenset()
        return frozenset(
            name
            for bit in _each(bits)
            if isinstance(does := self._given[bit][0].step.does, SetVariables)
            for name in does.values
        )

    def inside(self, place: Place) -> int:
        """Return the steps with `set` that stand in a step."""
        return self.setters & ((1 << place.index) - (1 << place.first))

    def last_vague(self, state: State) -> int:
        """Return the number of the last step that may give anything; -1 when there is none."""
        return (self._vague & state.maybe).bit_length() - 1

    def makers(self, name: str, state: State) -> Iterator[tuple[Place, Shape, bool]]:
        """Yield the steps that give a member, the last first, and whether each is sure to have run."""
        for bit in reversed(self._makers.get(name, [])):
            if state.maybe >> bit & 1:
                yield (*self._given[bit], bool(state.sure >> bit & 1))

    def names(self, state: State) -> Iterator[str]:
        """Yield the members that are given by what may have run."""
        for name, bits in self._makers.items():
            if any(state.maybe >> bit & 1 for bit in bits):
                yield name


def _common(sets: Iterable[frozenset[str]]) -> frozenset[str]:
    """Return what all have, looking no further than it takes."""
    found: frozenset[str] | None = None
    for each in sets:
        found = each if found is None else found & each
        if not found:
            break
    return found or frozenset()


def _each(bits: int) -> Iterator[int]:
    """Yield the numbers in a set."""
    while bits:
        low = bits & -bits
        yield low.bit_length() - 1
        bits ^= low
