"""How long executions are kept after their end."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from weft.core.errors import ValidationError, Violation
from weft.core.names import closest
from weft.core.reasons import Rule
from weft.server.execution.history.model import ExecutionState

__all__ = ["METADATA_KEY", "Retention", "policy_faults", "read_policy"]

METADATA_KEY: Final = "retention"
"""The member of a workflow's metadata that holds its own policy."""

_FINAL: Final = tuple(state for state in ExecutionState if state.final)
_EVERY: Final = "*"
_SPAN: Final = re.compile(r"(\d{1,6})([smhdw])", re.ASCII)
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SPAN_WORDS: Final = "is not a time such as 30d: a number with s, m, h, d or w"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long executions are kept after their end; what is not named is kept for ever."""

    states: Mapping[ExecutionState, timedelta] = field(default_factory=dict)
    """By their final state."""

    def over(self, base: Retention) -> Retention:
        """Return the same, with the base where nothing is said."""
        return Retention(states={**base.states, **self.states})

    @classmethod
    def parse(cls, text: str) -> Retention:
        """Read ``COMPLETED=30d,FAILED=90d``; ``*=30d`` stands for every state that is not named.

        Raises:
            ValidationError: With every fault.
        """
        pairs = [part.partition("=") for part in text.split(",") if part.strip()]
        given = {name.strip(): span.strip() for name, _, span in pairs}
        faults = list(policy_faults(given, "retention"))
        if len(given) < len(pairs):
            faults.append(Violation("retention", "names a state twice", Rule.RETENTION_INVALID))
        if faults:
            raise ValidationError(faults)
        return read_policy(given)


def policy_faults(given: object, where: str) -> Iterator[Violation]:
    """Yield what is wrong with a policy: an object of states and times."""
    if not isinstance(given, Mapping):
        yield Violation(where, 'is not an object such as {"COMPLETED": "30d"}', Rule.RETENTION_INVALID)
        return
    known = [_EVERY, *(state.value for state in _FINAL)]
    for name, span in given.items():
        if name not in known:
            message = f"{str(name)[:80]!r} is no final state; {closest(str(name).upper(), known)}"
            yield Violation(where, message, Rule.RETENTION_INVALID)
        if not isinstance(span, str) or _SPAN.fullmatch(span) is None:
            yield Violation(
                f"{where}.{str(name)[:80]}", f"{str(span)[:80]!r} {_SPAN_WORDS}", Rule.RETENTION_INVALID
            )


def read_policy(given: object) -> Retention:
    """Read a policy, leaving out what is wrong with it."""
    if not isinstance(given, Mapping):
        return Retention()
    spans = {name: _span(span) for name, span in given.items()}
    every = spans.get(_EVERY)
    found = {state: spans.get(state.value, every) for state in _FINAL}
    return Retention(states={state: span for state, span in found.items() if span is not None})


def _span(text: object) -> timedelta | None:
    found = _SPAN.fullmatch(text) if isinstance(text, str) else None
    return timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None
