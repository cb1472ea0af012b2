"""Where the steps of each list lead: targets that exist, no way back, none that nothing leads to."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from weft.core.reasons import Rule
from weft.server.workflow.checks.basis.places import Listing, Outline, Place, Target, cut
from weft.server.workflow.checks.basis.report import BEFORE_STEPS, MAX_PROBLEMS, Known, Report

__all__ = ["check_lists"]

_SHOWN: Final = 10
"""Steps of a cycle that a message names."""


def check_lists(whole: Outline, report: Report) -> None:
    """Report what is wrong with the ways through the lists, and set the order of each."""
    for listing in whole.lists:
        _check_filled(listing, whole, report)
        _check_targets(listing, whole, report)
        _sort(listing, report)
        _check_reach(listing, report)


def _check_filled(listing: Listing, whole: Outline, report: Report) -> None:
    if listing.places or listing is whole.last:
        return
    if listing.owner is None:
        report.add(BEFORE_STEPS, listing.path, Rule.REQUIRED, "a workflow has at least one step")
    else:
        report.add(listing.owner.at, listing.path, Rule.REQUIRED, f"{listing} has at least one step")


def _check_targets(listing: Listing, whole: Outline, report: Report) -> None:
    known = Known(listing.by_id)
    for place in listing.places:
        for target in place.targets:
            if not target.id or target.id in listing.by_id:
                continue
            path = f"{place.path}.{target.member}"
            elsewhere = whole.by_id.get(target.id)
            if elsewhere is not None:
                _no_jump(place, path, elsewhere, report)
            else:
                message = f"there is no step {cut(target.id)!r}"
                hint = partial(known.hint, target.id)
                report.add(place.at, path, Rule.STEP_UNKNOWN, message, hint=hint)


def _no_jump(place: Place, path: str, elsewhere: Place, report: Report) -> None:
    message = (
        f"the step {cut(elsewhere.step.id)!r} stands in {elsewhere.listing}: "
        f"there are no jumps between lists, and this is {place.listing}"
    )
    around = set(_around(place.listing))
    inside = next((step for step in _around(elsewhere.listing) if step.listing is place.listing), None)
    hint = ""
    if inside is not None:
        hint = f"name {cut(inside.step.id)!r}, which holds it"
    elif any(elsewhere.listing is owner.listing for owner in around):
        hint = "end this list (no `next`): the step that holds it goes on"
    report.add(place.at, path, Rule.STEP_UNKNOWN, message, hint=hint)


def _around(listing: Listing) -> Iterator[Place]:
    """Yield the steps that a list stands in, the innermost first."""
    while listing.owner is not None:
        yield listing.owner
        listing = listing.owner.listing


def _sort(listing: Listing, report: Report) -> None:
    """Find the order of a list, depth first, and report every way that leads back."""
    search = _Search(listing, report)
    if listing.places:
        search.run(listing.places[0])
        listing.order = search.order()
        for place in listing.places:
            search.run(place)


class _Search:
    """A walk through a list along all its ways."""

    def __init__(self, listing: Listing, report: Report) -> None:
        self._listing = listing
        self._report = report
        self._begun: set[int] = set()
        self._done: set[int] = set()
        self._finished: list[Place] = []
        self._cycles = 0
        self._trail: list[tuple[Place, Iterator[Target]]] = []

    def order(self) -> list[Place]:
        """Return what was reached, each step behind all that lead to it."""
        return self._finished[::-1]

    def run(self, start: Place) -> None:
        """Follow every way from a step that was not seen."""
        if start.at in self._begun:
            return
        self._enter(start)
        while self._trail:
            place, targets = self._trail[-1]
            target = next(targets, None)
            if target is None:
                self._trail.pop()
                self._done.add(place.at)
                self._finished.append(place)
            elif (following := self._listing.by_id.get(target.id)) is not None:
                self._follow(place, target, following)

    def _enter(self, place: Place) -> None:
        self._begun.add(place.at)
        ways = {target.id: target for target in reversed(place.targets)}
        self._trail.append((place, iter(ways.values())))

    def _follow(self, place: Place, target: Target, following: Place) -> None:
        if following.at not in self._begun:
            self._enter(following)
        elif following.at not in self._done:
            path = f"{place.path}.{target.member}"
            self._report.add(
                place.at,
                path,
                Rule.STEP_CYCLE,
                f"closes {self._cycle(following)}",
                hint="use `loop` to repeat steps",
            )

    def _cycle(self, back_to: Place) -> str:
        """Show the way that leads around; not for more of them than anybody reads."""
        self._cycles += 1
        if self._cycles > MAX_PROBLEMS:
            return "a cycle"
        trail = [place for place, _ in self._trail]
        return f"the cycle {_show_cycle([cut(place.step.id) for place in trail[trail.index(back_to) :]])}"


def _show_cycle(ids: list[str]) -> str:
    shown = ids if len(ids) <= _SHOWN else [*ids[: _SHOWN - 1], "…", ids[-1]]
    return " → ".join([*shown, ids[0]])


def _check_reach(listing: Listing, report: Report) -> None:
    """Report each step that the first does not lead to; repeated ids are reported as such."""
    reached = {place.step.id for place in listing.order}
    for place in listing.places:
        if place.step.id and place.step.id not in reached:
            first = cut(listing.places[0].step.id)
            report.add(
                place.at,
                place.path,
                Rule.STEP_UNREACHABLE,
                f"no step leads from {first!r} to {cut(place.step.id)!r}",
                hint="name it as the `next` of another step, or remove it",
            )
