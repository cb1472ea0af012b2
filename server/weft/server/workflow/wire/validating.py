"""Every problem of a definition that came as a message: of the message, and of what it says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from google.protobuf.message import Message

from weft.api.workflow.v1 import workflow_pb2
from weft.api.workflow.v1 import workflow_service_pb2 as pb
from weft.server.requests import Faults
from weft.server.workflow.model import Definition, Problem, Severity
from weft.server.workflow.wire import convert

__all__ = ["FindProblems", "examined", "validated"]

FindProblems = Callable[[Definition, str], Awaitable[tuple[Problem, ...]]]
"""Finds what is wrong with a definition of the workflow of that name."""


async def examined(
    request: Message, workflow: workflow_pb2.Workflow, find: FindProblems
) -> tuple[Definition, tuple[Problem, ...]]:
    """Return a definition, and all of its problems, each once.

    Args:
        request: What the workflow came in.
        workflow: The definition.
        find: Finds what is wrong with what it says.
    """
    faults = Faults(request)
    if workflow.name:
        faults.name("workflow.name", workflow.name)
    faults.text("workflow.description", workflow.description)
    convert.metadata_from_proto(workflow, faults)
    definition = convert.definition_from_proto(workflow, faults)
    of_message = [Problem(v.field.removeprefix("workflow."), v.reason, v.description) for v in faults.found]
    told = {(problem.path, problem.code) for problem in of_message}
    found = await find(definition, workflow.name)
    return definition, (*of_message, *(it for it in found if (it.path, it.code) not in told))


async def validated(
    request: Message, workflow: workflow_pb2.Workflow, find: FindProblems
) -> pb.ValidateWorkflowResponse:
    """Answer with all problems of a definition: see ``examined``."""
    _, problems = await examined(request, workflow, find)
    return pb.ValidateWorkflowResponse(
        problems=[convert.problem_to_proto(problem) for problem in problems],
        valid=all(problem.severity is not Severity.ERROR for problem in problems),
    )
