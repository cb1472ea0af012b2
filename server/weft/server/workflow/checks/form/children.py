"""Workflows that run workflows: whether they are there, what they take, and whether that ever ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeAlias

from weft.core.reasons import Rule
from weft.server.workflow.checks.basis.catalog import Ports, ports_of
from weft.server.workflow.checks.basis.places import Listing, Outline, Place, Spot, cut, outline
from weft.server.workflow.checks.basis.report import Known, Report
from weft.server.workflow.checks.basis.shapes import union_of
from weft.server.workflow.checks.form.lists import check_lists
from weft.server.workflow.kinds import Child, Loop, Map, Parallel
from weft.server.workflow.model import Definition, Share, WorkflowState

__all__ = ["Children", "KnownWorkflow", "child_of"]

_LATEST: Final = "latest"
_NEW: Final = 0
"""The version of what is being checked."""
_MAX_SHOWN: Final = 6

_Node: TypeAlias = tuple[str, int]
"""A workflow in one of its versions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownWorkflow:
    """A workflow that a definition may run."""

    name: str
    """Its name."""
    latest: int
    """Its newest version."""
    definitions: Mapping[int, Definition]
    """What its versions do; those that are not told are taken to be there."""
    state: WorkflowState = WorkflowState.ACTIVE
    """Whether it can be started."""
    aliases: Mapping[str, tuple[Share, ...]] = field(default_factory=dict)
    """Names of its versions."""

    def versions(self, child: Child) -> list[int] | None:
        """Return which versions a step may get; None for an alias that is not there."""
        if child.version:
            return [child.version]
        if not child.alias or child.alias == _LATEST:
            return [self.latest]
        shares = self.aliases.get(child.alias)
        return [share.version for share in shares] if shares is not None else None


def child_of(place: Place) -> tuple[Child, str] | None:
    """Return the workflow that a step runs, and where its name stands in the step."""
    match place.step.does:
        case Child() as child:
            return child, "workflow"
        case Map(workflow=Child() as child):
            return child, "map.workflow"
        case _:
            return None


class Children:
    """Holds the workflows that a definition runs against those that there are.

    Args:
        known: Those that there are, by name.
        others: Names of further ones, for hints; None: what is not known may be there.
        name: The workflow that the definition is one of; empty: one that nobody can run yet.
        definition: What is checked.
    """

    def __init__(
        self,
        known: Mapping[str, KnownWorkflow],
        others: Iterable[str] | None,
        name: str,
        definition: Definition,
    ) -> None:
        self._known = known
        self._complete = others is not None
        self._names = Known((*known, *(others or ()), *([name] if name else [])))
        self._name = name
        self._definition = definition
        self._ports: dict[tuple[str, int, str], Ports | None] = {}

    def check(self, place: Place, spot: Spot) -> None:
        """Report a workflow, version or alias that is not there."""
        found = child_of(place)
        if found is None or not found[0].name:
            return
        child, member = found
        known = self._known.get(child.name)
        if known is None:
            if child.name != self._name and self._complete:
                message = f"there is no workflow {cut(child.name)!r}"
                hint = partial(self._names.hint, child.name)
                spot.add(f"{member}.name", Rule.WORKFLOW_UNKNOWN, message, hint)
            return
        if known.state is WorkflowState.INACTIVE:
            message = f"the workflow {child.name!r} is inactive: the step fails until it is active"
            spot.warn(f"{member}.name", Rule.WORKFLOW_NOT_USABLE, message)
        self._check_version(child, known, Spot(spot.at, spot.path_of(member), spot.report))

    @staticmethod
    def _check_version(child: Child, known: KnownWorkflow, spot: Spot) -> None:
        if child.version > known.latest:
            message = f"the workflow {child.name!r} has no version {child.version:,}"
            spot.add("version", Rule.WORKFLOW_UNKNOWN, message, f"its newest is {known.latest:,}")
        elif known.versions(child) is None:
            message = f"the workflow {child.name!r} has no alias {cut(child.alias)!r}"
            hint = partial(Known((_LATEST, *known.aliases)).hint, child.alias)
            spot.add("alias", Rule.WORKFLOW_UNKNOWN, message, hint)

    def ports(self, child: Child) -> Ports | None:
        """Return what a child takes and gives; nothing for one that is not known."""
        key = (child.name, child.version, child.alias)
        if key not in self._ports:
            found = [self._definition_of(*node) for node in self._nodes(child)]
            ports = [ports_of(it.input_schema, it.output_schema) for it in found if it is not None]
            self._ports[key] = _together(ports) if ports and len(ports) == len(found) else None
        return self._ports[key]

    def check_endless(self, whole: Outline, report: Report) -> None:
        """Report steps by which the workflow runs itself."""
        places = [(place, found) for place in whole.places if (found := child_of(place)) is not None]
        if not self._name or not places:
            return
        leading = self._leading([child for _, (child, _) in places])
        certainly = _back(leading, (self._name, _NEW), certain=True)
        perhaps = _back(leading, (self._name, _NEW), certain=False)
        unavoidable = set(_unavoidable_all(whole))
        for place, (child, member) in places:
            nodes = self._nodes(child)
            certain = place in unavoidable and any(node in certainly for node in nodes)
            node = next((node for node in nodes if node in (certainly if certain else perhaps)), None)
            if node is not None:
                spot = Spot(place.at, f"{place.path}.{member}", report)
                way = _way(node, certainly if certain else perhaps)
                _endless(spot, [self._name, *way], certain=certain)

    def _leading(self, children: list[Child]) -> dict[_Node, list[tuple[_Node, bool]]]:
        """Return which versions of workflows are run by which others, and whether always."""
        leading: dict[_Node, list[tuple[_Node, bool]]] = {}
        pending = [node for child in dict.fromkeys(children) for node in self._nodes(child)]
        seen: set[_Node] = set()
        while pending:
            node = pending.pop()
            if node in seen or node == (self._name, _NEW):
                continue
            seen.add(node)
            definition = self._definition_of(*node)
            for started, always in _started_by(definition) if definition else ():
                for following in self._nodes(started):
                    leading.setdefault(following, []).append((node, always))
                    pending.append(following)
        return leading

    def _nodes(self, child: Child) -> list[_Node]:
        known = self._known.get(child.name)
        if child.name == self._name and not child.version and child.alias in {"", _LATEST}:
            return [(self._name, _NEW)]
        versions = known.versions(child) if known else None
        return [(child.name, version) for version in versions or ()]

    def _definition_of(self, name: str, version: int) -> Definition | None:
        if (name, version) == (self._name, _NEW):
            return self._definition
        known = self._known.get(name)
        return known.definitions.get(version) if known else None


def _back(
    leading: Mapping[_Node, list[tuple[_Node, bool]]], goal: _Node, *, certain: bool
) -> dict[_Node, _Node | None]:
    """Return what leads to a goal, each with the next one on its shortest way there."""
    following: dict[_Node, _Node | None] = {goal: None}
    pending = deque([goal])
    while pending:
        node = pending.popleft()
        for before, always in leading.get(node, ()):
            if before not in following and (always or not certain):
                following[before] = node
                pending.append(before)
    return following


def _way(node: _Node, following: Mapping[_Node, _Node | None]) -> list[str]:
    way: list[str] = []
    at: _Node | None = node
    while at is not None:
        way.append(at[0])
        at = following[at]
    return way


def _together(ports: list[Ports]) -> Ports:
    """Return what several versions of a workflow have in common."""
    if len(ports) == 1:
        return ports[0]
    return Ports(output=union_of([each.output for each in ports]))


def _endless(spot: Spot, way: list[str], *, certain: bool) -> None:
    shown = way if len(way) <= _MAX_SHOWN else [*way[: _MAX_SHOWN - 2], "…", way[-1]]
    chain = " → ".join(shown)
    if certain:
        message = f"the workflow runs itself in every execution, without end: {chain}"
        spot.add("name", Rule.WORKFLOW_ENDLESS, message, "let a `switch` decide whether it is run")
    else:
        message = f"the workflow may run itself: {chain}"
        spot.warn("name", Rule.WORKFLOW_ENDLESS, message, "make sure that it ends")


def _started_by(definition: Definition) -> Iterator[tuple[Child, bool]]:
    """Yield which workflows a definition runs, and whether no way leads around that."""
    aside = Report()
    whole = outline(definition, aside)
    check_lists(whole, aside)
    certain = set(_unavoidable_all(whole))
    for place in whole.places:
        found = child_of(place)
        if found is not None:
            yield found[0], place in certain


def _unavoidable_all(whole: Outline) -> Iterator[Place]:
    """Yield the steps that run in every execution that does not fail before."""
    pending = [whole.top, whole.last]
    while pending:
        for place in _unavoidable(pending.pop()):
            match place.step.does:
                case Map():
                    pass  # the list may be empty
                case Parallel(join=join, branches=branches) if join in {0, len(branches)}:
                    pending.extend(place.bodies)
                case Loop(until=until) if until:
                    pending.extend(place.bodies)
                case _:
                    yield place


def _unavoidable(listing: Listing) -> Iterator[Place]:
    """Yield the steps that every way through a list leads over: those that no way on jumps over."""
    number = {place.at: index for index, place in enumerate(listing.order)}
    furthest = 0
    for index, place in enumerate(listing.order):
        if furthest <= index:
            yield place
        for target in place.targets or (None,):
            following = listing.by_id.get(target.id) if target is not None else None
            to = number.get(following.at, 0) if following is not None else len(listing.order)
            furthest = max(furthest, to)
