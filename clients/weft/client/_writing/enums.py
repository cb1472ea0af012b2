"""Names of the contract's enums without their prefixes, both ways."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from weft.api.execution.v1 import batch_pb2, execution_pb2, execution_service_pb2
from weft.api.registry.v1 import registry_pb2
from weft.api.schedule.v1 import schedule_pb2
from weft.api.workflow.v1 import workflow_pb2
from weft.core.errors import ValidationError, Violation
from weft.core.reasons import Rule

V = TypeVar("V", bound=int)


class EnumNames(Generic[V]):
    """The short names of one enum; the unset value is the empty string.

    Args:
        items: Full names and numbers, as the generated enum lists them.
    """

    def __init__(self, items: Iterable[tuple[str, V]]) -> None:
        pairs = list(items)
        unset = next(name for name, number in pairs if not number)
        prefix = unset.removesuffix("UNSPECIFIED")
        self._unset: V = dict(pairs)[unset]
        self._numbers = {name.removeprefix(prefix): number for name, number in pairs if number}
        self._names = {number: name for name, number in self._numbers.items()}

    def name(self, number: V) -> str:
        """Return the short name; of a value that a newer server made up, its number."""
        return self._names.get(number, str(int(number)) if number else "")

    def number(self, name: str, field: str) -> V:
        """Return the value of a name, in any case.

        Raises:
            ValidationError: There is no such name.
        """
        found = self._numbers.get(name.upper())
        if found is None:
            known = ", ".join(self._numbers)
            missing = Violation(field, f"is required: one of {known}", Rule.REQUIRED)
            wrong = Violation(field, f"{name[:80]!r} is none of {known}", Rule.INVALID)
            raise ValidationError([wrong if name else missing])
        return found

    def optional(self, name: str | None, field: str) -> V:
        """Return the value of a name, or the unset value for none.

        Raises:
            ValidationError: There is no such name.
        """
        return self.number(name, field) if name else self._unset


SERVICE_STATE = EnumNames(registry_pb2.ServiceState.items())
PROTOCOL = EnumNames(registry_pb2.Protocol.items())
HEALTH_STATE = EnumNames(registry_pb2.HealthState.items())
HEALTH_STATUS = EnumNames(registry_pb2.HealthStatus.items())
WORKFLOW_STATE = EnumNames(workflow_pb2.WorkflowState.items())
SEVERITY = EnumNames(workflow_pb2.Severity.items())
EXECUTION_STATE = EnumNames(execution_pb2.ExecutionState.items())
ON_EXHAUSTED = EnumNames(workflow_pb2.OnExhausted.items())
WAIT_REASON = EnumNames(execution_pb2.WaitReason.items())
INCIDENT_RESOLUTION = EnumNames(execution_pb2.IncidentResolution.items())
KEY_REUSE_POLICY = EnumNames(execution_service_pb2.KeyReusePolicy.items())
KEY_CONFLICT_POLICY = EnumNames(execution_service_pb2.KeyConflictPolicy.items())
STEP_STATE = EnumNames(execution_pb2.StepState.items())
BATCH_OPERATION = EnumNames(batch_pb2.BatchOperation.items())
BATCH_STATE = EnumNames(batch_pb2.BatchState.items())
BATCH_ITEM_STATE = EnumNames(batch_pb2.BatchItemState.items())
OVERLAP_POLICY = EnumNames(schedule_pb2.OverlapPolicy.items())
SCHEDULE_STATE = EnumNames(schedule_pb2.ScheduleState.items())
SCHEDULE_RUN_KIND = EnumNames(schedule_pb2.ScheduleRunKind.items())
SCHEDULE_RUN_STATE = EnumNames(schedule_pb2.ScheduleRunState.items())
