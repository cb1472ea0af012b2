"""The form of a definition: ids, names, timeouts, and where each step leads."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from weft.core.errors import ValidationError, Violation
from weft.core.names import STEP_ID, check_name
from weft.core.reasons import Rule
from weft.core.version import VersionRange
from weft.server.registry.model import Service, ServiceState, ServiceVersion
from weft.server.registry.versions import choose
from weft.server.workflow._report import AFTER_STEPS, BEFORE_STEPS, Known, Report
from weft.server.workflow.model import Definition, Severity, Step

__all__ = ["MAX_DESCRIPTION_LENGTH", "MAX_STEPS", "MAX_STEP_TIMEOUT", "MAX_TIMEOUT", "check_structure"]

MAX_STEPS: Final = 1_000
MAX_DESCRIPTION_LENGTH: Final = 8_192
MAX_STEP_TIMEOUT: Final = timedelta(hours=24)
MAX_TIMEOUT: Final = timedelta(days=365)

_SHOWN: Final = 10
"""Steps of a cycle that a message names."""


def check_structure(
    definition: Definition, services: Mapping[str, Service], known: Known, order: list[Step], report: Report
) -> None:
    """Report everything that needs no look at schemas or templates."""
    _check_whole(definition, report)
    _check_ids(definition.steps, report)
    for index, step in enumerate(definition.steps):
        _check_fields(index, step, report)
        _check_action(index, step, services, known, report)
    _check_next(definition.steps, report)
    _check_cycles(definition.steps, report)
    _check_reach(definition.steps, order, report)


def _check_whole(definition: Definition, report: Report) -> None:
    count = len(definition.steps)
    if not count:
        report.add(BEFORE_STEPS, "steps", Rule.REQUIRED, "a workflow has at least one step")
    if count > MAX_STEPS:
        report.add(
            BEFORE_STEPS, "steps", Rule.TOO_MANY, f"{count:,} steps are over the limit of {MAX_STEPS:,}"
        )
    timeout = definition.timeout
    if timeout is not None and not timedelta(0) <= timeout <= MAX_TIMEOUT:
        report.add(
            AFTER_STEPS,
            "timeout",
            Rule.OUT_OF_RANGE,
            f"{timeout} is not between 0 and {MAX_TIMEOUT.days} days",
        )


def _check_ids(steps: tuple[Step, ...], report: Report) -> None:
    first: dict[str, int] = {}
    for index, step in enumerate(steps):
        path = f"steps[{index}].id"
        _add(report, index, check_name(path, step.id, STEP_ID))
        if step.id in first:
            message = f"{_cut(step.id)!r} is the id of steps[{first[step.id]}] already"
            report.add(index, path, Rule.STEP_ID_DUPLICATE, message)
        elif step.id:
            first[step.id] = index


def _check_fields(index: int, step: Step, report: Report) -> None:
    timeout, length = step.timeout, len(step.description)
    _check_range(index, step, report)
    if timeout is not None and not timedelta(0) < timeout <= MAX_STEP_TIMEOUT:
        message = f"{timeout} is not above 0 and at most 24 hours"
        report.add(index, f"steps[{index}].timeout", Rule.OUT_OF_RANGE, message)
    if length > MAX_DESCRIPTION_LENGTH:
        message = f"{length:,} characters are over the limit of {MAX_DESCRIPTION_LENGTH:,}"
        report.add(index, f"steps[{index}].description", Rule.TOO_LONG, message)


def _check_range(index: int, step: Step, report: Report) -> None:
    try:
        VersionRange.parse(step.service_version, f"steps[{index}].service_version")
    except ValidationError as error:
        _add(report, index, list(error.violations))


def _check_action(
    index: int, step: Step, services: Mapping[str, Service], known: Known, report: Report
) -> None:
    path = f"steps[{index}]"
    if not step.action:
        report.add(index, f"{path}.action", Rule.REQUIRED, "is required")
    service = services.get(step.service)
    if not step.service:
        report.add(index, f"{path}.service", Rule.REQUIRED, "is required")
    elif service is None:
        message = f"there is no service {_cut(step.service)!r}"
        report.add(
            index, f"{path}.service", Rule.SERVICE_UNKNOWN, message, hint=lambda: known.hint(step.service)
        )
    else:
        _check_state(index, service, report)
        offer = _check_version(index, step, service, report)
        if offer is not None and step.action and offer.action(step.action) is None:
            _unknown_action(index, step, service, offer, report)


def _check_state(index: int, service: Service, report: Report) -> None:
    path = f"steps[{index}].service"
    if service.state is ServiceState.DEPRECATED:
        message = f"the service {service.name!r} is deprecated: no new workflow may use it"
        report.add(index, path, Rule.SERVICE_NOT_USABLE, message)
    elif service.state is ServiceState.INACTIVE:
        message = f"the service {service.name!r} is inactive: the step fails until it is active"
        report.add(index, path, Rule.SERVICE_NOT_USABLE, message, severity=Severity.WARNING)


def _check_version(index: int, step: Step, service: Service, report: Report) -> ServiceVersion | None:
    """Report a range that no API version is in; return the one whose actions the step calls."""
    wanted = _range(step)
    choice = choose(service, wanted) if wanted is not None else None
    if wanted is None or (choice is not None and choice.registered):
        return choice.offer if choice else None
    path = f"steps[{index}].service_version"
    known = ", ".join(it.version for it in service.versions)
    message = f"the service {service.name!r} has no version in {_cut(step.service_version)!r}"
    hint = f"it is registered as {known}"
    if choice is None:
        report.add(index, path, Rule.SERVICE_NOT_USABLE, message, hint=hint)
        return None
    message += ": the step fails until it has an instance of one"
    report.add(index, path, Rule.SERVICE_NOT_USABLE, message, hint=hint, severity=Severity.WARNING)
    return choice.offer


def _range(step: Step) -> VersionRange | None:
    """Return which versions a step takes; None when that cannot be read, which is reported elsewhere."""
    try:
        return VersionRange.parse(step.service_version)
    except ValidationError:
        return None


def _unknown_action(index: int, step: Step, service: Service, offer: ServiceVersion, report: Report) -> None:
    which = f" in version {offer.version}" if service.other_versions else ""
    message = f"the service {service.name!r} has no action {_cut(step.action)!r}{which}"
    report.add(
        index,
        f"steps[{index}].action",
        Rule.ACTION_UNKNOWN,
        message,
        hint=lambda: Known(action.name for action in offer.actions).hint(step.action),
    )


def _check_next(steps: tuple[Step, ...], report: Report) -> None:
    known = Known(step.id for step in steps)
    for index, step in enumerate(steps):
        if step.next and step.next not in known:
            report.add(
                index,
                f"steps[{index}].next",
                Rule.STEP_UNKNOWN,
                f"there is no step {_cut(step.next)!r}",
                hint=lambda name=step.next: known.hint(name),  # type: ignore[misc] # mypy infers no default
            )


def _check_cycles(steps: tuple[Step, ...], report: Report) -> None:
    """Follow every step until one that was seen; in the same pass that closes a cycle."""
    first = _by_id(steps)
    seen: dict[int, int] = {}
    for start in range(len(steps)):
        trail: list[int] = []
        at: int | None = start
        while at is not None and at not in seen:
            seen[at] = start
            trail.append(at)
            at = first.get(steps[at].next) if steps[at].next else None
        if at is not None and trail and seen[at] == start:
            cycle = [_cut(steps[index].id) for index in trail[trail.index(at) :]]
            report.add(
                trail[-1],
                f"steps[{trail[-1]}].next",
                Rule.STEP_CYCLE,
                f"closes the cycle {_show_cycle(cycle)}",
            )


def _show_cycle(ids: list[str]) -> str:
    shown = ids if len(ids) <= _SHOWN else [*ids[: _SHOWN - 1], "…", ids[-1]]
    return " → ".join([*shown, ids[0]])


def _check_reach(steps: tuple[Step, ...], order: list[Step], report: Report) -> None:
    """Report each step that the first does not lead to; repeated ids are reported as such."""
    reached = {step.id for step in order}
    for index, step in enumerate(steps):
        if step.id and step.id not in reached:
            report.add(
                index,
                f"steps[{index}]",
                Rule.STEP_UNREACHABLE,
                f"no step leads from {_cut(steps[0].id)!r} to {_cut(step.id)!r}",
                hint="name it as the `next` of another step, or remove it",
            )


def _by_id(steps: tuple[Step, ...]) -> dict[str, int]:
    first: dict[str, int] = {}
    for index, step in enumerate(steps):
        first.setdefault(step.id, index)
    return first


def _add(report: Report, at: int, violations: list[Violation]) -> None:
    for violation in violations:
        report.add(at, violation.field, violation.reason, violation.description)


def _cut(text: str) -> str:
    return text if len(text) <= 80 else text[:79] + "…"
