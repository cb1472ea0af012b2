"""Workflows to measure: made, started, and checked."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from itertools import cycle, islice
from typing import Any, Final

from benchmarks.harness import Operation
from benchmarks.payloads import Documents
from benchmarks.processes import StartError
from benchmarks.provider import ACTIONS, SERVICE
from weft.client import Client

__all__ = ["WORKFLOW", "add_workflow", "chain", "execute", "passing"]

WORKFLOW: Final = "benchmark"
"""The one with a step for each action."""

_WAIT: Final = timedelta(seconds=60)


async def passing(client: Client, service: str = SERVICE) -> None:
    """Wait for a provider.

    Raises:
        StartError: It did not register.
    """
    try:
        async with asyncio.timeout(20):
            async for instances in client.registry.watch_instances(service):
                if any(instance.health == "PASSING" for instance in instances):
                    return
    except TimeoutError:
        raise StartError(f"{service} did not register within 20 s") from None


async def add_workflow(
    client: Client, name: str = WORKFLOW, service: str = SERVICE, steps: int = len(ACTIONS)
) -> None:
    """Wait for a provider, then make a workflow of that many steps, each an action that adds one."""
    await passing(client, service)
    actions = islice(cycle(ACTIONS), steps)
    await client.workflows.create(name, chain([(service, action) for action in actions]))


def chain(actions: Sequence[tuple[str, str]], **every: Any) -> list[dict[str, Any]]:
    """Return steps, one after the other.

    Args:
        actions: Service and action of each.
        every: What is said of each further.
    """
    ids = [f"step-{number}" for number in range(1, len(actions) + 1)]
    return [
        {"id": own, "service": service, "action": action, "next": following, **every}
        for own, (service, action), following in zip(ids, actions, [*ids[1:], ""], strict=True)
    ]


def execute(client: Client, name: str = WORKFLOW, steps: int = len(ACTIONS)) -> Operation:
    """Return one workflow from start to checked result."""
    documents = Documents()

    async def operation() -> None:
        document = documents.next()
        execution = await client.executions.execute(name, document, wait=_WAIT)
        if execution.state != "COMPLETED" or execution.result != documents.expected(document, steps):
            raise AssertionError(f"{execution.id} is {execution.state} with {execution.result}")

    return operation
