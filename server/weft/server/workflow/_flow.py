"""What a step is given without a template: each name, and where its value may come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from weft.core.reasons import Rule
from weft.server.workflow._catalog import Ports
from weft.server.workflow._compat import ALL_TYPES, Shape, disjoint, show_types
from weft.server.workflow._report import Known, Report
from weft.server.workflow.model import Severity, Step

__all__ = ["Pool", "Source", "check_implicit"]

_NEVER: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value may come from."""

    label: str
    """Such as ``the output of step 'extract'``."""
    types: frozenset[str]
    """What it may be."""
    certain: bool
    """Whether it is always there."""


class Pool:
    """What is there before a step: the workflow input and all earlier outputs, later ones winning."""

    def __init__(self) -> None:
        self._sources: dict[str, list[Source]] = {}
        self.open = False

    def add(self, shape: Shape, label: str) -> None:
        """Merge another object; one that may have any member hides what is known so far."""
        if shape.vague:
            self.open = True
            self._sources.clear()
        for name in dict.fromkeys((*shape.schema.properties, *shape.schema.required)):
            source = Source(label, shape.types(name), shape.requires(name))
            self._sources[name] = [source] if source.certain else [*self._sources.get(name, []), source]

    def sources(self, name: str) -> list[Source]:
        """Return where the value may come from; the last one wins if it is there."""
        return self._sources.get(name, [])

    def is_certain(self, name: str) -> bool:
        """Tell whether one of the sources always has it."""
        return any(source.certain for source in self.sources(name))

    def is_known(self, name: str) -> bool:
        """Tell whether the value can come from nowhere but the sources."""
        return bool(self.sources(name)) and (self.is_certain(name) or not self.open)

    def known(self) -> Known:
        """Return the names that are there."""
        return Known(self._sources)


def check_implicit(at: int, step: Step, ports: Ports, pool: Pool, report: Report) -> None:
    """Report what the action needs and nobody gives, and what cannot be of its type."""
    takes = ports.input
    for name in dict.fromkeys((*takes.schema.required, *takes.schema.properties)):
        required = takes.requires(name)
        if required and not pool.sources(name) and not pool.open:
            _missing(at, step, name, pool, report)
        elif required and not pool.is_certain(name) and not pool.open:
            _perhaps_missing(at, step, name, pool, report)
        if pool.is_known(name):
            _check_types(at, step, name, takes, pool, report)


def _missing(at: int, step: Step, name: str, pool: Pool, report: Report) -> None:
    message = (
        f"the action {step.action!r} of {step.service!r} requires {name!r}, which neither the workflow input "
        "nor an earlier step gives"
    )
    report.add(at, f"steps[{at}]", Rule.INPUT_MISSING, message, hint=_suggest(name, pool))


def _suggest(name: str, pool: Pool) -> str:
    hint = pool.known().hint(name)
    advice = "declare it in `input_schema`, or give the step an `input`"
    return f"{hint} Otherwise {advice}" if hint else advice


def _perhaps_missing(at: int, step: Step, name: str, pool: Pool, report: Report) -> None:
    label = pool.sources(name)[-1].label
    message = (
        f"{name!r} may be missing: it is optional in {label}, but the action {step.action!r} of "
        f"{step.service!r} requires it"
    )
    report.add(at, f"steps[{at}]", Rule.INPUT_MISSING, message, severity=Severity.WARNING)


def _check_types(at: int, step: Step, name: str, takes: Shape, pool: Pool, report: Report) -> None:
    wanted = takes.types(name)
    sources = pool.sources(name)
    if wanted in {ALL_TYPES, _NEVER} or not all(disjoint(source.types, wanted) for source in sources):
        return
    last = sources[-1]
    message = (
        f"{name!r} is {show_types(last.types)} in {last.label} but the action {step.action!r} of "
        f"{step.service!r} takes {show_types(wanted)}"
    )
    certain = takes.requires(name) or pool.is_certain(name)
    severity = Severity.ERROR if certain else Severity.WARNING
    report.add(at, f"steps[{at}]", Rule.TYPE_MISMATCH, message, severity=severity)
