"""The caller's SDK: typed clients, and ``ServiceIntegrationClient`` on top of them.

Every failure is a ``WeftError`` of the class that the server raised.
"""

from weft.client._archive import ArchiveClient
from weft.client._batch import BatchClient
from weft.client._client import Client, connect
from weft.client._execution import ExecutionClient
from weft.client._health import HealthClient
from weft.client._registry import RegistryClient
from weft.client._retries import RetryPolicies
from weft.client._workflow import WorkflowClient
from weft.client.integration import ServiceIntegrationClient
from weft.client.records import (
    Action,
    Batch,
    BatchItem,
    Concurrency,
    DependencyHealth,
    Event,
    Execution,
    ExecutionCounts,
    ExecutionGroup,
    Failure,
    ImportedExecution,
    Instance,
    IntegrationHealth,
    Origin,
    Page,
    Problem,
    Record,
    Service,
    ServiceHealth,
    ServiceVersion,
    Step,
    StepExecution,
    StepRetry,
    Workflow,
)
from weft.core.context import CallContext
from weft.core.errors import (
    ActionFailedError,
    AlreadyExistsError,
    CallCancelledError,
    Code,
    ConflictError,
    DeadlineExceededError,
    ExhaustedError,
    InternalError,
    MaxRetriesExceededError,
    PreconditionError,
    ResourceNotFoundError,
    ServiceUnavailableError,
    UnexpectedStatusError,
    ValidationError,
    Violation,
    WeftError,
)
from weft.mesh.policies.retry import NO_RETRY, RetryPolicy

__all__ = [
    "NO_RETRY",
    "Action",
    "ActionFailedError",
    "AlreadyExistsError",
    "ArchiveClient",
    "Batch",
    "BatchClient",
    "BatchItem",
    "CallCancelledError",
    "CallContext",
    "Client",
    "Code",
    "Concurrency",
    "ConflictError",
    "DeadlineExceededError",
    "DependencyHealth",
    "Event",
    "Execution",
    "ExecutionClient",
    "ExecutionCounts",
    "ExecutionGroup",
    "ExhaustedError",
    "Failure",
    "HealthClient",
    "ImportedExecution",
    "Instance",
    "IntegrationHealth",
    "InternalError",
    "MaxRetriesExceededError",
    "Origin",
    "Page",
    "PreconditionError",
    "Problem",
    "Record",
    "RegistryClient",
    "ResourceNotFoundError",
    "RetryPolicies",
    "RetryPolicy",
    "Service",
    "ServiceHealth",
    "ServiceIntegrationClient",
    "ServiceUnavailableError",
    "ServiceVersion",
    "Step",
    "StepExecution",
    "StepRetry",
    "UnexpectedStatusError",
    "ValidationError",
    "Violation",
    "WeftError",
    "Workflow",
    "WorkflowClient",
    "connect",
]
