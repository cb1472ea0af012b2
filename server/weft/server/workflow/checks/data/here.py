"""One step, and everything that is needed to look at its data."""

from __future__ import annotations

from dataclasses import dataclass

from weft.core.payload import JsonObject
from weft.server.workflow.checks.basis.catalog import Catalog, Ports
from weft.server.workflow.checks.basis.places import Outline, Place, Spot
from weft.server.workflow.checks.basis.report import Known, Report
from weft.server.workflow.checks.basis.shapes import Shape, Value
from weft.server.workflow.checks.data.flow import Pool, Taker, check_implicit
from weft.server.workflow.checks.data.mapping import check_members
from weft.server.workflow.checks.data.state import Ledger, Room, State
from weft.server.workflow.checks.data.texts import Texts
from weft.server.workflow.checks.data.visible import Visible
from weft.server.workflow.checks.form.children import Children

__all__ = ["Desk", "Here"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What the checks of one definition share."""

    whole: Outline
    """All its steps."""
    known: Known
    """Their ids."""
    ledger: Ledger
    """What they give."""
    texts: Texts
    """Its expressions."""
    catalog: Catalog
    """The actions that are registered."""
    children: Children
    """The workflows that are there."""
    result: Shape
    """What the workflow promises to give."""
    report: Report
    """What is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """A step, as the list comes to it."""

    desk: Desk
    """What all share."""
    place: Place
    """The step."""
    state: State
    """What has run before it."""
    room: Room
    """What the lists around it bring."""

    @property
    def spot(self) -> Spot:
        """Where its problems are noted."""
        return Spot(self.place.at, self.place.path, self.desk.report)

    def visible(self, state: State | None = None, **extra: Value) -> Visible:
        """Return what its expressions may refer to."""
        desk = self.desk
        return Visible(
            whole=desk.whole,
            ledger=desk.ledger,
            known=desk.known,
            place=self.place,
            state=self.state if state is None else state,
            room=self.room,
            extra=extra,
        )

    def object(self, given: JsonObject, member: str, visible: Visible | None = None) -> Value:
        """Check an object with expressions; return what is known of what it renders."""
        visible = visible or self.visible()
        template = self.desk.texts.template(given, member, visible, self.spot)
        if template is None:
            return Value(frozenset({"object"}))
        return self.desk.texts.gives(template, self.spot.path_of(member), visible)

    def takes(
        self, label: str, ports: Ports, member: str, given: JsonObject | None, visible: Visible
    ) -> None:
        """Check what somebody is given: by a template, or what is named like it.

        Args:
            label: Who takes it.
            ports: What it takes.
            member: Where it stands in the step; nothing for the step's own call.
            given: The template; none: the implicit flow.
            visible: What the template may refer to.
        """
        if given is None:
            if not self.room.lost:
                pool = Pool(self.desk.ledger, visible.state, self.room)
                check_implicit(self.spot, Taker(label, ports.input, member), pool)
            return
        at = f"{member}.input" if member else "input"
        template = self.desk.texts.template(given, at, visible, self.spot)
        if template is not None:
            spot = Spot(self.place.at, self.spot.path_of(at), self.desk.report)
            gives = self.desk.texts.gives(template, spot.path, visible)
            check_members(spot, label, ports, template, gives)
