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
from weft.client.records._registry import (
    Action,
    DependencyHealth,
    Instance,
    IntegrationHealth,
    Service,
    ServiceHealth,
    ServiceVersion,
)
from weft.client.records._workflow import (
    Concurrency,
    Problem,
    Step,
    StepRetry,
    VersionShare,
    Workflow,
    WorkflowAlias,
)

__all__ = [
    "Action",
    "Batch",
    "BatchItem",
    "Concurrency",
    "DependencyHealth",
    "Event",
    "Execution",
    "ExecutionCounts",
    "ExecutionGroup",
    "Failure",
    "ImportedExecution",
    "Instance",
    "IntegrationHealth",
    "Origin",
    "Page",
    "Problem",
    "Record",
    "Service",
    "ServiceHealth",
    "ServiceVersion",
    "Step",
    "StepExecution",
    "StepRetry",
    "VersionShare",
    "Workflow",
    "WorkflowAlias",
]
