"""Short forms of what a registry and a definition hold."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from weft.core.payload import JsonObject
from weft.server.registry.model import Action, Service, ServiceState
from weft.server.workflow.checks.checks import find_problems
from weft.server.workflow.model import Definition, Problem, Severity, Step

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def schema(*required: str, closed: bool = False, **properties: Any) -> JsonObject:
    """Give an object schema; a type stands for ``{"type": …}``."""
    members = {name: {"type": item} if isinstance(item, str) else item for name, item in properties.items()}
    made: JsonObject = {"type": "object", "properties": members, "required": list(required)}
    return {**made, "additionalProperties": False} if closed else made


def service(name: str, *actions: Action, state: ServiceState = ServiceState.ACTIVE) -> Service:
    return Service(
        id=f"svc_{name}", name=name, actions=actions, state=state, create_time=NOW, update_time=NOW
    )


def action(name: str, takes: JsonObject | None = None, gives: JsonObject | None = None) -> Action:
    return Action(name=name, input_schema=takes, output_schema=gives)


def services(*known: Service) -> dict[str, Service]:
    return {each.name: each for each in known}


def one_service(**actions: tuple[JsonObject | None, JsonObject | None]) -> dict[str, Service]:
    """Give a registry with one service ``s`` of these actions: what they take and give."""
    return services(service("s", *(action(name, *ports) for name, ports in actions.items())))


def step(step_id: str, action_name: str = "", following: str = "", **rest: Any) -> Step:
    return Step(id=step_id, service="s", action=action_name or step_id, next=following, **rest)


def chain(*steps: Step) -> tuple[Step, ...]:
    """Lead each step to the next one."""
    following = [each.id for each in steps[1:]] + [""]
    return tuple(
        Step(
            id=each.id,
            service=each.service,
            action=each.action,
            next=name,
            input=each.input,
            timeout=each.timeout,
            description=each.description,
        )
        for each, name in zip(steps, following, strict=True)
    )


def brief(problems: Iterable[Problem]) -> list[tuple[str, str]]:
    """Tell where and which rule; a warning has a ``?`` behind its rule."""
    return [
        (each.path, str(each.code) + ("?" if each.severity is Severity.WARNING else "")) for each in problems
    ]


def found(known: dict[str, Service], *steps: Step, **rest: Any) -> list[tuple[str, str]]:
    return brief(find_problems(Definition(steps=steps, **rest), known))
