"""What is known about the run of one document: pure state, fed by events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

__all__ = ["DocumentRun", "StepState"]


class StepState(StrEnum):
    """Where one step of one document stands."""

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


_FINAL = {
    "execution_failed": "failed",
    "execution_cancelled": "was cancelled",
    "execution_timed_out": "ran out of time",
}


@dataclass(slots=True)
class DocumentRun:
    """One document on its way through the workflow."""

    name: str
    """File name of the document."""
    steps: dict[str, StepState]
    """Every step of the workflow, in order."""
    outputs: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """Outputs of the completed steps, as the history has them."""
    succeeded: bool = False
    """Whether the execution completed."""
    failure: str = ""
    """Why it did not."""
    seconds: float = 0.0
    """From the start of its execution to its end, as the runner sees it."""

    @classmethod
    def waiting(cls, name: str, steps: Sequence[str]) -> DocumentRun:
        """Make the run of a document that was not started yet."""
        return cls(name, dict.fromkeys(steps, StepState.WAITING))

    @property
    def ended(self) -> bool:
        """Whether nothing will happen any more."""
        return self.succeeded or bool(self.failure)

    def apply(self, kind: str, data: Mapping[str, Any]) -> str:
        """Take in one event, and return it in words."""
        step = str(data.get("step_id", ""))
        if kind == "step_scheduled":
            self.steps[step] = StepState.RUNNING
            return f"{step} started"
        if kind == "step_completed":
            self.steps[step] = StepState.COMPLETED
            self.outputs[step] = data.get("output") or {}
            return f"{step} completed"
        if kind == "step_failed":
            self.steps[step] = StepState.FAILED
            return f"{step} failed: {_why(data)}"
        if kind == "execution_completed":
            self.succeeded = True
            return "completed"
        if kind in _FINAL:
            self.fail(_why(data) or _FINAL[kind])
            return f"{_FINAL[kind]}: {self.failure}"
        return "accepted" if kind == "execution_started" else kind

    def fail(self, why: str) -> None:
        """Record that it did not succeed."""
        self.failure = why


def _why(data: Mapping[str, Any]) -> str:
    failure = data.get("failure")
    if isinstance(failure, Mapping):
        return f"{failure.get('message', '')} ({failure.get('reason', '')})"
    return str(data.get("reason", ""))
