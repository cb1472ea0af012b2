"""What a change of a service breaks, as messages."""

from __future__ import annotations

from collections.abc import Iterable

from weft.api.registry.v1 import registry_service_pb2 as pb
from weft.server.impact import BrokenWorkflow
from weft.server.workflow.wire.convert import problem_to_proto

__all__ = ["broken_to_proto"]


def broken_to_proto(broken: Iterable[BrokenWorkflow]) -> list[pb.BrokenWorkflow]:
    """Show what is broken."""
    return [
        pb.BrokenWorkflow(
            workflow=it.name,
            version=it.version,
            latest=it.latest,
            open_executions=it.open_executions,
            problems=[problem_to_proto(problem) for problem in it.problems],
        )
        for it in broken
    ]
