"""Collects problems, whatever the order they are found in."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from weft.core.names import closest
from weft.core.reasons import Rule
from weft.server.workflow.model import Problem, Severity

__all__ = ["AFTER_STEPS", "BEFORE_STEPS", "MAX_PROBLEMS", "Known", "Report"]

MAX_PROBLEMS: Final = 200
"""How many are told one by one."""
BEFORE_STEPS: Final = -1
AFTER_STEPS: Final = 1_000_000

_FEW: Final = 40


class Known:
    """Names that exist, to suggest one for a name that does not.

    Comparing with each of a thousand names takes 20 ms; so of many names only
    those are compared that begin or end alike.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = sorted(set(names))
        self._reversed = sorted(name[::-1] for name in self._names) if len(self._names) > _FEW else []

    def __contains__(self, name: str) -> bool:
        at = bisect_left(self._names, name)
        return at < len(self._names) and self._names[at] == name

    def hint(self, name: str) -> str:
        """Return a hint such as ``did you mean 'extract'?``, or nothing."""
        name = name[:200]
        if not self._reversed:
            return closest(name, self._names)
        alike = _around(self._names, name)
        alike += [found[::-1] for found in _around(self._reversed, name[::-1])]
        return closest(name, alike)


def _around(names: list[str], name: str) -> list[str]:
    at = bisect_left(names, name)
    return names[max(0, at - _FEW // 4) : at + _FEW // 4]


class Report:
    """The problems of one definition."""

    def __init__(self) -> None:
        self._found: list[tuple[int, Problem, Callable[[], str] | None]] = []

    def add(
        self,
        at: int,
        path: str,
        code: str,
        message: str,
        *,
        hint: str | Callable[[], str] = "",
        severity: Severity = Severity.ERROR,
    ) -> None:
        """Note a problem of the step at that index; hints are only worked out when they are shown."""
        text, later = (hint, None) if isinstance(hint, str) else ("", hint)
        self._found.append((at, Problem(path, code, message, text, severity), later))

    def extend(self, at: int, problems: Iterable[Problem]) -> None:
        """Note problems as they are."""
        self._found.extend((at, problem, None) for problem in problems)

    def problems(self) -> list[Problem]:
        """Return errors first, then warnings, each in the order of the definition."""
        ordered = sorted(self._found, key=lambda found: (found[1].severity is Severity.WARNING, found[0]))
        shown = [
            replace(problem, hint=later()) if later else problem
            for _, problem, later in ordered[:MAX_PROBLEMS]
        ]
        left = [problem for _, problem, _ in ordered[MAX_PROBLEMS:]]
        return [*shown, _summary(left)] if left else shown


def _summary(left: list[Problem]) -> Problem:
    errors = sum(problem.severity is Severity.ERROR for problem in left)
    message = f"{len(left):,} more problems are not shown, {errors:,} of them errors"
    severity = Severity.ERROR if errors else Severity.WARNING
    return Problem("", Rule.TOO_MANY, message, "correct those above first", severity)
