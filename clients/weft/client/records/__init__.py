"""What the server answers, as frozen records of plain Python values.

States, kinds and protocols are the names of the contract without their prefix,
such as ``ACTIVE``; an unset one is the empty string. Every record has
``to_dict()``.
"""

from weft.client.records._base import Page, Record
from weft.client.records._batch import (
    Batch,
    BatchItem,
    ExecutionCounts,
    ExecutionGroup,
    ImportedExecution,
)
from weft.client.records._execution import Event, Execution, Failure, Origin, StepExecution
from weft.client.records._kinds import (
    ApprovalStep,
    Branch,
    ChildStep,
    EmitStep,
    FailStep,
    LoopStep,
    MapStep,
    ParallelStep,
    SignalStep,
    SucceedStep,
    SwitchCase,
    SwitchStep,
    WaitStep,
)
from weft.client.records._registry import (
    Action,
    BrokenWorkflow,
    DependencyHealth,
    Instance,
    IntegrationHealth,
    Service,
    ServiceHealth,
    ServiceVersion,
)
from weft.client.records._step import (
    Compensation,
    ErrorHandler,
    Step,
    StepCache,
    StepLimit,
    StepRetry,
)
from weft.client.records._workflow import (
    Concurrency,
    Problem,
    StepDefaults,
    VersionShare,
    Workflow,
    WorkflowAlias,
)

__all__ = [
    "Action",
    "ApprovalStep",
    "Batch",
    "BatchItem",
    "Branch",
    "BrokenWorkflow",
    "ChildStep",
    "Compensation",
    "Concurrency",
    "DependencyHealth",
    "EmitStep",
    "ErrorHandler",
    "Event",
    "Execution",
    "ExecutionCounts",
    "ExecutionGroup",
    "FailStep",
    "Failure",
    "ImportedExecution",
    "Instance",
    "IntegrationHealth",
    "LoopStep",
    "MapStep",
    "Origin",
    "Page",
    "ParallelStep",
    "Problem",
    "Record",
    "Service",
    "ServiceHealth",
    "ServiceVersion",
    "SignalStep",
    "Step",
    "StepCache",
    "StepDefaults",
    "StepExecution",
    "StepLimit",
    "StepRetry",
    "SucceedStep",
    "SwitchCase",
    "SwitchStep",
    "VersionShare",
    "WaitStep",
    "Workflow",
    "WorkflowAlias",
]
