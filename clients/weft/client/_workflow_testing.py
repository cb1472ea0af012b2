"""Typed calls that run definitions against given results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from weft.api.workflow.v1 import workflow_service_pb2 as pb
from weft.client._reading import events
from weft.client._reading import execution as read_execution
from weft.client._reading import workflow as read
from weft.client._workflow_aliases import Aliases
from weft.client._writing import fields as write
from weft.client._writing import workflow_testing as given
from weft.client.records import WorkflowTest
from weft.core.errors import ValidationError

__all__ = ["Rehearsals"]


class Rehearsals(Aliases):
    """Runs definitions against given results."""

    async def test(
        self,
        workflow: str | given.DefinitionLike,
        *,
        version: int = 0,
        input: Mapping[str, Any] | None = None,  # noqa: A002 - the contract's name
        results: given.Results | None = None,
        messages: Sequence[Mapping[str, Any]] = (),
        start_time: datetime | None = None,
    ) -> WorkflowTest:
        """Run a definition against given results, with a clock that is turned: nothing is called or stored.

        Args:
            workflow: Id or name of a stored one; or a definition: a record such as
                ``weft.client.flow`` makes, or a mapping with the members that ``create`` takes.
            version: Of a stored one; 0: the latest.
            input: JSON object.
            results: By a step's id, for all times that it runs, or by its path, such as
                ``each[3]/book``, which wins; ``undo/book`` is what undoes. Each is a mapping with
                ``output`` (JSON object) or ``failure`` (``reason``, ``code``, ``message``), and ``takes``;
                or a list of them, one for each attempt, of which the last stands for all that follow.
                Of an approval the output is its decision: ``{"outcome": "approved"}``.
            messages: Mappings with ``name``, ``correlation``, ``payload``, and ``after``: when it comes,
                from the start.
            start_time: When the clock starts; None: now. Without a time zone it is UTC.

        Returns:
            What came of it. With errors among its ``problems`` there is no execution.

        Raises:
            ValidationError: Every fault of what is given, or the input does not fit.
            ResourceNotFoundError: There is no such workflow, or SIGNAL_UNKNOWN: it takes no such message.
        """
        steps = results or {}
        request = pb.TestWorkflowRequest(
            version=version,
            input=write.payload(input or {}, "input"),
            results=given.results(steps),
            messages=given.messages(messages),
            start_time=given.moment(start_time),
            payload_kind=write.JSON,
        )
        if isinstance(workflow, str):
            request.name = workflow
        else:
            request.workflow.CopyFrom(given.definition(workflow))
        try:
            answer = await self._caller.unary(self._stub.TestWorkflow, request, self._caller.retry.read)
        except ValidationError as error:
            raise given.relocated(error, steps) from None
        return _read(answer)


def _read(answer: pb.TestWorkflowResponse) -> WorkflowTest:
    ran = answer.HasField("execution")
    return WorkflowTest(
        execution=read_execution.execution(answer.execution) if ran else None,
        events=tuple(map(events.event, answer.events)),
        problems=tuple(map(read.problem, answer.problems)),
        missing=tuple(answer.missing_results),
        waiting=tuple(answer.waiting),
        truncated=answer.truncated,
    )
