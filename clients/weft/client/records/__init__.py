"""What the server answers, as frozen records of plain Python values.

States, kinds and protocols are the names of the contract without their prefix,
such as ``ACTIVE``; an unset one is the empty string. Every record has
``to_dict()``.
"""

from weft.client.records._base import Page, Record
from weft.client.records._execution import Event, Execution, Failure, StepExecution
from weft.client.records._registry import (
    Action,
    DependencyHealth,
    Instance,
    IntegrationHealth,
    Service,
    ServiceHealth,
    ServiceVersion,
)
from weft.client.records._workflow import Problem, Step, Workflow

__all__ = [
    "Action",
    "DependencyHealth",
    "Event",
    "Execution",
    "Failure",
    "Instance",
    "IntegrationHealth",
    "Page",
    "Problem",
    "Record",
    "Service",
    "ServiceHealth",
    "ServiceVersion",
    "Step",
    "StepExecution",
    "Workflow",
]
