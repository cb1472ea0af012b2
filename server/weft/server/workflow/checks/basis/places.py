"""Where the steps of a definition stand: lists, the steps in them, and the lists in those."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from weft.core.errors import Violation
from weft.core.reasons import Rule
from weft.server.workflow.checks.basis.report import Report
from weft.server.workflow.kinds import Fail, Loop, Map, Parallel, Succeed, Switch
from weft.server.workflow.model import Definition, Severity, Step

__all__ = ["MAX_NESTING", "Listing", "Outline", "Place", "Spot", "Target", "cut", "outline"]

MAX_NESTING: Final = 8
"""Lists of steps in each other, the workflow's own included."""


@dataclass(frozen=True, slots=True)
class Spot:
    """Where problems of a step, or of the whole, are noted."""

    at: int
    """Its number in the order of the definition."""
    path: str
    """Its path, such as ``steps[1].parallel.branches[0].steps[2]``."""
    report: Report
    """What takes them."""

    def path_of(self, member: str) -> str:
        """Return the path of something in it; nothing stands for itself."""
        return f"{self.path}.{member}" if self.path and member else self.path or member

    def add(
        self,
        member: str,
        rule: Rule,
        message: str,
        hint: str | Callable[[], str] = "",
        severity: Severity = Severity.ERROR,
    ) -> None:
        """Note a problem of something in it."""
        self.report.add(self.at, self.path_of(member), rule, message, hint=hint, severity=severity)

    def warn(self, member: str, rule: Rule, message: str, hint: str | Callable[[], str] = "") -> None:
        """Note what may go wrong."""
        self.add(member, rule, message, hint, Severity.WARNING)

    def extend(self, violations: Iterable[Violation]) -> None:
        """Note violations as they are, their paths too."""
        for it in violations:
            self.report.add(self.at, it.field, it.reason, it.description)


@dataclass(frozen=True, slots=True)
class Target:
    """One way on from a step."""

    member: str
    """Where it stands in the step, such as ``switch.cases[0].next``."""
    id: str
    """The step that it names; empty: the list ends."""
    handles: bool = False
    """Whether it is taken when the step fails."""


@dataclass(slots=True, eq=False)
class Place:
    """A step, and where it stands."""

    step: Step
    """The step."""
    at: int
    """Its number in the order of the definition."""
    path: str
    """Such as ``steps[0]``."""
    listing: Listing
    """The list that it stands in."""
    bodies: list[Listing] = field(default_factory=list)
    """The lists that stand in it."""
    targets: tuple[Target, ...] = ()
    """Its ways on, none for one that ends the execution."""
    index: int = -1
    """Its number among the steps that run, in an order in which they may; -1: none leads there."""
    first: int = 0
    """The number of the first step in it; its own when there is none."""


@dataclass(slots=True, eq=False)
class Listing:
    """A list of steps."""

    path: str
    """Such as ``steps`` or ``steps[1].map.steps``."""
    owner: Place | None = None
    """The step that it stands in; none for the workflow's own and ``finally``."""
    depth: int = 0
    """How many lists it stands in."""
    name: str = ""
    """The branch that it is."""
    places: list[Place] = field(default_factory=list)
    """Its steps."""
    by_id: dict[str, Place] = field(default_factory=dict)
    """By id; of several with one id the first."""
    order: list[Place] = field(default_factory=list)
    """What runs, each step behind all that may run before it."""

    def __str__(self) -> str:
        if self.owner is None:
            return "`finally`" if self.path == "finally" else "the workflow's own list"
        if self.name:
            return f"branch {cut(self.name)!r} of {cut(self.owner.step.id)!r}"
        return f"the list of {cut(self.owner.step.id)!r}"


@dataclass(slots=True, eq=False)
class Outline:
    """All lists of a definition."""

    top: Listing
    """The workflow's own."""
    last: Listing
    """``finally``."""
    lists: list[Listing] = field(default_factory=list)
    """All of them, a list before those within it."""
    by_id: dict[str, Place] = field(default_factory=dict)
    """All steps; of several with one id the first."""

    @property
    def places(self) -> Iterator[Place]:
        """All steps."""
        for listing in self.lists:
            yield from listing.places


def outline(definition: Definition, report: Report) -> Outline:
    """Find all lists; those that stand too deep are reported, and not looked into."""
    made = Outline(Listing("steps"), Listing("finally"))
    counter = _fill(made, made.top, definition.steps, 0, report)
    _fill(made, made.last, definition.finally_steps, counter, report)
    for place in made.places:
        if place.step.id:
            made.by_id.setdefault(place.step.id, place)
    return made


def _fill(made: Outline, listing: Listing, steps: tuple[Step, ...], counter: int, report: Report) -> int:
    """Number steps from ``counter`` on, each before those in it; return the next number."""
    made.lists.append(listing)
    for number, step in enumerate(steps):
        place = Place(step, counter, f"{listing.path}[{number}]", listing, targets=_targets(step))
        counter += 1
        listing.places.append(place)
        if step.id:
            listing.by_id.setdefault(step.id, place)
        for path, name, body in _bodies(step):
            inner = Listing(f"{place.path}.{path}", place, listing.depth + 1, name)
            place.bodies.append(inner)
            if inner.depth >= MAX_NESTING:
                message = (
                    f"lists of steps may be {MAX_NESTING} deep in each other, the workflow's own included"
                )
                report.add(place.at, inner.path, Rule.TOO_DEEP, message, hint="use a workflow of its own")
                continue
            counter = _fill(made, inner, body, counter, report)
    return counter


def _bodies(step: Step) -> Iterator[tuple[str, str, tuple[Step, ...]]]:
    """Yield where each list within a step stands, its name, and its steps."""
    match step.does:
        case Parallel(branches=branches):
            for number, branch in enumerate(branches):
                yield f"parallel.branches[{number}].steps", branch.name, branch.steps
        case Map(steps=steps, workflow=None) | Loop(steps=steps):
            yield f"{step.kind}.steps", "", steps
        case Map(steps=steps) if steps:
            yield "map.steps", "", steps
        case _:
            pass


def _targets(step: Step) -> tuple[Target, ...]:
    handled = tuple(
        Target(f"on_error[{number}].next", handler.next, handles=True)
        for number, handler in enumerate(step.on_error)
    )
    match step.does:
        case Switch(cases=cases, default=default):
            found = [Target(f"switch.cases[{number}].next", case.next) for number, case in enumerate(cases)]
            if default:
                found.append(Target("switch.default", default))
            return (*found, *handled)
        case Fail():
            return handled
        case Succeed():
            return ()
        case _:
            return (Target("next", step.next), *handled)


def cut(text: str) -> str:
    """Shorten a name that somebody chose."""
    return text if len(text) <= 80 else text[:79] + "…"
