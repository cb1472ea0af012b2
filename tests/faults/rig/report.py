"""What a run says of itself: the verdict, and the figures beside it."""

from __future__ import annotations

import statistics
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.faults.rig.evidence import Evidence, Violation
from tests.faults.rig.record import Operation, Outcome, Window

MINIMUM_SUCCESS: Final = 0.9
"""Part of the operations outside of faults that must succeed: a run in which nothing works proves nothing."""

LATE_ECHOES: Final = 3
"""Operations that a fault may reach after its window; they would weigh too much in a short run."""

MINIMUM_COUNTED: Final = 20
"""How many such operations there must be."""

_IN_FLIGHT: Final = 0.02


@dataclass(frozen=True, kw_only=True)
class Report:
    """One run."""

    seed: int
    store: str
    took: float
    evidence: Evidence
    violations: dict[str, list[Violation]]
    planned: dict[str, int]
    fired: dict[str, int]
    exits: dict[str, list[int]] = field(default_factory=dict)

    @property
    def problems(self) -> list[str]:
        """Everything for which the run fails."""
        found = [f"{name}: {one}" for name, them in self.violations.items() for one in them]
        for kind, count in self.planned.items():
            if self.fired.get(kind, 0) < count:
                found.append(f"{kind} was planned {count} times and happened {self.fired.get(kind, 0)} times")
        good, all_ = self.calm_operations
        if all_ < MINIMUM_COUNTED:
            found.append(f"only {all_} operations outside of faults: the run proves nothing")
        elif (good + LATE_ECHOES) / all_ < MINIMUM_SUCCESS:
            found.append(f"of {all_} operations outside of faults only {good} succeeded")
        return found

    @property
    def calm_operations(self) -> tuple[int, int]:
        """How many operations outside of faults succeeded, and how many there were."""
        calm = [op for op in self.evidence.operations if not _touched(op, self.evidence.windows)]
        return sum(map(_succeeded, calm)), len(calm)

    @property
    def kills(self) -> list[Window]:
        return [window for window in self.evidence.windows if window.fault.startswith("kill")]

    @property
    def first_progress(self) -> list[float]:
        """For each kill, the seconds until any step began again."""
        began = sorted(body.began for body in self.evidence.bodies)
        after = ((kill.began, bisect_right(began, kill.began + _IN_FLIGHT)) for kill in self.kills)
        return sorted(began[place] - killed for killed, place in after if place < len(began))

    @property
    def all_gone_on(self) -> list[float]:
        """For each kill that hit steps, the seconds until all executions that it hit had gone on."""
        return sorted(gap for kill in self.kills if (gap := _gap(kill, self.evidence)) is not None)

    def figures(self) -> dict[str, Any]:
        """Return the numbers of the run."""
        bodies, steps = len(self.evidence.bodies), len(self.evidence.bodies_of)
        good, all_ = self.calm_operations
        return {
            "seed": self.seed,
            "store": self.store,
            "seconds": round(self.took, 1),
            "executions": len(self.evidence.stored),
            "states": dict(Counter(stored.state for stored in self.evidence.stored.values())),
            "operations": dict(Counter(op.outcome.value for op in self.evidence.operations)),
            "outside_of_faults": {"succeeded": good, "all": all_},
            "faults_planned": self.planned,
            "faults_fired": self.fired,
            "lost": len(self.evidence.accepted - self.evidence.stored.keys()),
            "violations": {name: len(them) for name, them in self.violations.items()},
            "step_bodies": {"run": bodies, "steps": steps, "run_again": bodies - steps},
            "kill_to_next_progress_seconds": percentiles(self.first_progress),
            "kill_to_all_gone_on_seconds": percentiles(self.all_gone_on),
        }


def percentiles(values: Sequence[float]) -> dict[str, float]:
    if len(values) < 2:
        return {"count": len(values), **({"max": round(values[0], 3)} if values else {})}
    cuts = statistics.quantiles(values, n=20, method="inclusive")
    return {
        "count": len(values),
        "p50": round(statistics.median(values), 3),
        "p95": round(cuts[18], 3),
        "max": round(max(values), 3),
    }


def _touched(op: Operation, windows: Sequence[Window]) -> bool:
    return any(op.invoked < window.ended and op.ended > window.began for window in windows)


def _succeeded(op: Operation) -> bool:
    return op.ok or (op.outcome is Outcome.FAIL and bool(op.answer.get("expected")))


def _gap(kill: Window, evidence: Evidence) -> float | None:
    """Return how long the last execution that was in the middle of a step waited for the next one."""
    gaps = []
    for bodies in evidence.bodies_in.values():
        hit = [b for b in bodies if b.began < kill.began < (b.ended or b.began + 1.0)]
        after = [b.began for b in bodies if b.began > kill.began + _IN_FLIGHT]
        if hit and after:
            gaps.append(min(after) - kill.began)
    return max(gaps, default=None)
