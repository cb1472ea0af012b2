"""What a test of a workflow is given, as messages; faults of the server named as the caller wrote it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from google.protobuf.timestamp_pb2 import Timestamp

from weft.api.common.v1 import failure_pb2
from weft.api.workflow.v1 import workflow_pb2
from weft.api.workflow.v1 import workflow_service_pb2 as pb
from weft.client._writing import fields as write
from weft.client._writing.workflow import DEFINITION
from weft.client._writing.workflow import workflow as written
from weft.client.records import Failure, Workflow
from weft.core.definitions import is_list
from weft.core.errors import Code, ValidationError, Violation
from weft.core.names import closest
from weft.core.reasons import Rule

if TYPE_CHECKING:
    from weft.client.flow import Flow

__all__ = ["DefinitionLike", "Results", "definition", "messages", "moment", "relocated", "results"]

DefinitionLike: TypeAlias = "Workflow | Flow | Mapping[str, Any]"
"""A definition: a record, or a mapping with the same members."""

Results: TypeAlias = Mapping[str, Any]
"""By id or path of a step: what it gives, or a list with one entry for each attempt."""


def definition(given: DefinitionLike) -> workflow_pb2.Workflow:
    """Write a definition.

    Raises:
        ValidationError: Every member that is unknown or of another type.
    """
    if isinstance(given, Mapping):
        return written(given)
    said = {field.name.rstrip("_"): getattr(given, field.name) for field in fields(given)}
    return written({name: value for name, value in said.items() if name in DEFINITION})


def results(given: Results, path: str = "results") -> list[pb.StepResult]:
    """Write what the steps give.

    Raises:
        ValidationError: Every member that is unknown or of another type.
    """
    if not isinstance(given, Mapping):
        raise _fault(path, f"is of type {type(given).__name__}, not an object")
    faults: list[Violation] = []
    found: list[pb.StepResult] = []
    for step, said in given.items():
        read: Callable[[Any, str], Any] = write.each(_attempt) if is_list(said) else _alone
        try:
            name = write.text(step, f"{path}.{step}")
            found.append(pb.StepResult(step_id=name, attempts=read(said, f"{path}.{step}")))
        except ValidationError as error:
            faults.extend(error.violations)
    if faults:
        raise ValidationError(faults)
    return found


def _alone(value: Any, path: str) -> list[pb.AttemptResult]:
    return [_attempt(value, path)]


def _attempt(value: Any, path: str) -> pb.AttemptResult:
    given = value if isinstance(value, Mapping) else {}
    if given.get("output") is not None and given.get("failure") is not None:
        raise _fault(path, "has both output and failure; a result is one of them")
    return write.build(pb.AttemptResult, _ATTEMPT, value, path)


def _failure(value: Any, path: str) -> failure_pb2.Failure:
    if isinstance(value, Failure):
        value = {name: getattr(value, name) for name in _FAILURE}
    return write.build(failure_pb2.Failure, _FAILURE, value, path)


def _code(value: Any, path: str) -> int:
    if isinstance(value, Code):
        return int(value)
    name = write.text(value, path).upper()
    if name not in Code.__members__:
        raise _fault(path, f"is no code of an error; {closest(name, list(Code.__members__))}")
    return int(Code[name])


def messages(given: Any) -> list[pb.TestMessage]:
    """Write the messages that come.

    Raises:
        ValidationError: Every member that is unknown or of another type.
    """
    found: list[pb.TestMessage] = write.many(pb.TestMessage, _MESSAGE)(given, "messages")
    return found


def moment(given: datetime | None) -> Timestamp | None:
    """Write a time; one without a time zone is UTC."""
    if given is None:
        return None
    found = Timestamp()
    found.FromDatetime((given if given.tzinfo else given.replace(tzinfo=UTC)).astimezone(UTC))
    return found


def relocated(error: ValidationError, given: Results) -> ValidationError:
    """Name the faults of results by the steps, as the caller did, not by number."""
    steps = list(given)

    def rename(violation: Violation) -> Violation:
        match = _NUMBERED.match(violation.field)
        if match is None or int(match["step"]) >= len(steps):
            return violation
        step = steps[int(match["step"])]
        attempt = f"[{match['attempt']}]" if match["attempt"] and is_list(given[step]) else ""
        rest = violation.field[match.end() :].removeprefix(".step_id")
        return Violation(f"results.{step}{attempt}{rest}", violation.description, violation.reason)

    return ValidationError([rename(it) for it in error.violations], metadata=error.metadata)


def _fault(path: str, description: str) -> ValidationError:
    return ValidationError([Violation(path, description, Rule.INVALID)])


_NUMBERED: Final = re.compile(r"results\[(?P<step>\d+)\](\.attempts(\[(?P<attempt>\d+)\])?)?")

_FAILURE: Final[Mapping[str, write.Reader]] = {
    "reason": write.text,
    "code": _code,
    "message": write.text,
    "metadata": write.texts,
}

_ATTEMPT: Final[Mapping[str, write.Reader]] = {
    "output": write.payload,
    "failure": _failure,
    "takes": write.span,
}

_MESSAGE: Final[Mapping[str, write.Reader]] = {
    "name": write.text,
    "correlation": write.text,
    "payload": write.payload,
    "after": write.span,
}
