"""What the definition of a workflow says, as keyword arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from weft.client._writing.fields import DurationLike
from weft.client.records import Concurrency, Step, StepDefaults
from weft.core.names import closest

__all__ = ["WorkflowChanges", "WorkflowFields", "checked"]


class WorkflowFields(TypedDict, total=False):
    """What a definition may say besides its name and its steps; ``WorkflowClient.create`` explains each."""

    description: str | None
    metadata: Mapping[str, Any] | None
    input_schema: Mapping[str, Any] | None
    output_schema: Mapping[str, Any] | None
    timeout: DurationLike | None
    concurrency: Concurrency | Mapping[str, Any] | None
    finally_: Sequence[Step | Mapping[str, Any]] | None
    defaults: StepDefaults | Mapping[str, Any] | None
    retention: DurationLike | None
    search_attributes: Mapping[str, str] | None
    labels: Mapping[str, str] | None


class WorkflowChanges(WorkflowFields, total=False):
    """What of a definition can be changed."""

    name: str | None
    steps: Sequence[Step | Mapping[str, Any]] | None


def checked(method: str, fields: WorkflowFields) -> Mapping[str, object]:
    """Return the keyword arguments that a method was called with.

    Raises:
        TypeError: It has no such argument.
    """
    known = WorkflowChanges.__annotations__
    for name in fields:
        if name not in known:
            raise TypeError(f"{method}() has no argument {name!r}; {closest(name, list(known))}")
    return fields
