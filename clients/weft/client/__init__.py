"""The caller's SDK: typed clients, and ``ServiceIntegrationClient`` on top of them.

Every failure is a ``WeftError`` of the class that the server raised.
"""

from weft.client._client import Client, connect
from weft.client._execution import ExecutionClient
from weft.client._health import HealthClient
from weft.client._registry import RegistryClient
from weft.client._retries import RetryPolicies
from weft.client._workflow import WorkflowClient
from weft.client.integration import ServiceIntegrationClient
from weft.client.records import (
    Action,
    Concurrency,
    DependencyHealth,
    Event,
    Execution,
    Failure,
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
    "ExhaustedError",
    "Failure",
    "HealthClient",
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
