"""The form of a definition and of each step: ids, limits, and the actions that are called."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from weft.core.errors import ValidationError
from weft.core.names import STEP_ID, check_name
from weft.core.reasons import Rule
from weft.core.version import VersionRange
from weft.server.registry.model import Service, ServiceState, ServiceVersion
from weft.server.registry.versions import choose
from weft.server.workflow.checks.basis.catalog import offer_for
from weft.server.workflow.checks.basis.places import Outline, Place, Spot, cut
from weft.server.workflow.checks.basis.report import Known, Report
from weft.server.workflow.checks.form.members import check_members
from weft.server.workflow.checks.form.policies import check_policies
from weft.server.workflow.model import Step

__all__ = ["MAX_DESCRIPTION_LENGTH", "check_structure"]

MAX_DESCRIPTION_LENGTH: Final = 8_192


def check_structure(whole: Outline, services: Mapping[str, Service], known: Known, report: Report) -> None:
    """Report everything that needs no look at schemas or templates, and no way through the steps."""
    calls = _Calls(services, known)
    for place in sorted(whole.places, key=lambda place: place.at):
        spot = Spot(place.at, place.path, report)
        _check_id(place, whole, spot)
        check_members(place, spot)
        check_policies(place.step, spot)
        _check_description(place, spot)
        if place.step.does is None:
            calls.check(spot, place.step.service, place.step.action, place.step.service_version)
        if place.step.compensate is not None:
            calls.check_undo(spot, place)


def _check_id(place: Place, whole: Outline, spot: Spot) -> None:
    path = f"{place.path}.id"
    name = place.step.id
    spot.extend(check_name(path, name, STEP_ID))
    first = whole.by_id.get(name)
    if first is not None and first is not place:
        spot.add("id", Rule.STEP_ID_DUPLICATE, f"{cut(name)!r} is the id of {first.path} already")


def _check_description(place: Place, spot: Spot) -> None:
    length = len(place.step.description)
    if length > MAX_DESCRIPTION_LENGTH:
        message = f"{length:,} characters are over the limit of {MAX_DESCRIPTION_LENGTH:,}"
        spot.add("description", Rule.TOO_LONG, message)


class _Calls:
    """Holds what steps call against what is registered."""

    def __init__(self, services: Mapping[str, Service], known: Known) -> None:
        self._services = services
        self._known = known

    def check(self, spot: Spot, service: str, action: str, versions: str, member: str = "") -> None:
        """Check a call; ``member`` is where its names stand in the step, with a dot."""
        wanted = _range(spot, versions)
        if not action:
            spot.add(f"{member}action", Rule.REQUIRED, "is required")
        found = self._services.get(service)
        if not service:
            spot.add(f"{member}service", Rule.REQUIRED, "is required")
        elif found is None:
            message = f"there is no service {cut(service)!r}"
            hint = partial(self._known.hint, service)
            spot.add(f"{member}service", Rule.SERVICE_UNKNOWN, message, hint)
        else:
            _check_state(spot, found, member)
            offer = _check_version(spot, wanted, versions, found)
            if offer is not None and action and offer.action(action) is None:
                _unknown_action(spot, f"{member}action", action, (found, offer))

    def check_undo(self, spot: Spot, place: Place) -> None:
        """Check the action that undoes a step: by default one of the same service."""
        undo = place.step.compensate
        assert undo is not None  # it is asked for those that have one
        if undo.service:
            self.check(spot, undo.service, undo.action, "", "compensate.")
        elif not place.step.service:
            hint = "name the service of the action"
            spot.add("compensate.service", Rule.REQUIRED, "is required", hint)
        elif not undo.action:
            spot.add("compensate.action", Rule.REQUIRED, "is required")
        else:
            self._check_own(spot, place.step, undo.action)

    def _check_own(self, spot: Spot, step: Step, action: str) -> None:
        """Check an action of the step's own service; what is wrong with the service is told at the step."""
        service = self._services.get(step.service)
        offer = offer_for(step.service_version, service) if service else None
        if service and offer and offer.action(action) is None:
            _unknown_action(spot, "compensate.action", action, (service, offer))


def _range(spot: Spot, versions: str) -> VersionRange | None:
    """Return which versions a step takes; None when that cannot be read, which is reported."""
    try:
        return VersionRange.parse(versions, spot.path_of("service_version"))
    except ValidationError as error:
        spot.extend(error.violations)
        return None


def _check_state(spot: Spot, service: Service, member: str) -> None:
    path = f"{member}service"
    if service.state is ServiceState.DEPRECATED:
        message = f"the service {service.name!r} is deprecated: no new workflow may use it"
        spot.add(path, Rule.SERVICE_NOT_USABLE, message)
    elif service.state is ServiceState.INACTIVE:
        message = f"the service {service.name!r} is inactive: the step fails until it is active"
        spot.warn(path, Rule.SERVICE_NOT_USABLE, message)


def _check_version(
    spot: Spot, wanted: VersionRange | None, text: str, service: Service
) -> ServiceVersion | None:
    """Report a range that no API version is in; return the one whose actions the step calls."""
    choice = choose(service, wanted) if wanted is not None else None
    if wanted is None or (choice is not None and choice.registered):
        return choice.offer if choice else None
    known = ", ".join(it.version for it in service.versions)
    message = f"the service {service.name!r} has no version in {cut(text)!r}"
    hint = f"it is registered as {known}"
    if choice is None:
        spot.add("service_version", Rule.SERVICE_NOT_USABLE, message, hint)
        return None
    message += ": the step fails until it has an instance of one"
    spot.warn("service_version", Rule.SERVICE_NOT_USABLE, message, hint)
    return choice.offer


def _unknown_action(spot: Spot, path: str, action: str, found: tuple[Service, ServiceVersion]) -> None:
    service, offer = found
    which = f" in version {offer.version}" if service.other_versions else ""
    message = f"the service {service.name!r} has no action {cut(action)!r}{which}"
    spot.add(
        path,
        Rule.ACTION_UNKNOWN,
        message,
        lambda: Known(it.name for it in offer.actions).hint(action),
    )
