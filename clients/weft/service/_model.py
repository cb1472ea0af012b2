"""What a service is, before it runs anywhere."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeAlias

from weft.core.names import ACTION_NAME, check_name
from weft.core.payload import JsonObject
from weft.discovery.model import Health
from weft.service._input import Input, derive_input, hints_of
from weft.service._output import Output, derive_output

__all__ = ["ActionDefinition", "HealthCheck", "ServiceDefinition", "define_action"]

HealthReport: TypeAlias = Health | str | None
HealthCheck: TypeAlias = Callable[[], HealthReport | Awaitable[HealthReport]]
"""Says how well the service is: None when all is well, the trouble as text, or a state."""

_MAX_DESCRIPTION = 8_192


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionDefinition:
    """One action: a function, and how JSON goes in and out of it."""

    name: str
    """Unique in its service."""
    description: str
    """For people."""
    function: Callable[..., Any]
    """What runs."""
    input: Input
    """From the input object to arguments."""
    output: Output
    """From the result to the output object."""
    asynchronous: bool
    """Whether the function is a coroutine function; else it runs in a thread."""
    idempotent: bool = False
    """Whether running it twice has the effect of once."""
    timeout: timedelta | None = None
    """How long one call may take when the caller does not say."""
    compensation: str = ""
    """The action of the same service that undoes what this one did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceDefinition:
    """Everything a host needs to know of a service."""

    name: str
    """Unique among services."""
    version: str = ""
    """Version of the software."""
    description: str = ""
    """For people."""
    metadata: JsonObject = field(default_factory=dict)
    """Free JSON object."""
    tags: tuple[str, ...] = ()
    """Of each instance."""
    zone: str = ""
    """Failure domain of each instance."""
    weight: int = 1
    """Share of calls of each instance."""
    actions: Mapping[str, ActionDefinition] = field(default_factory=dict)
    """By name, in the order of definition."""
    health_check: HealthCheck | None = None
    """Asked before each heartbeat."""


def define_action(
    function: Callable[..., Any],
    names: Mapping[str, Any],
    *,
    name: str | None = None,
    description: str | None = None,
    idempotent: bool = False,
    timeout: timedelta | None = None,
    compensation: str = "",
) -> ActionDefinition:
    """Derive an action from a function.

    Raises:
        TypeError: Its parameters or its result have no place in a JSON object.
        ValueError: The name or the timeout is not allowed.
    """
    if not (inspect.isfunction(function) or inspect.ismethod(function)):
        raise TypeError(f"{function!r} is no function")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"{function.__qualname__}: an action returns one object, it does not yield")
    chosen = function.__name__ if name is None else name
    for violation in check_name("action name", chosen, ACTION_NAME):
        raise ValueError(str(violation))
    if timeout is not None and timeout <= timedelta():
        raise ValueError(f"timeout of {chosen!r} must be longer than zero")
    if compensation == chosen:
        raise ValueError(f"{chosen!r} cannot undo itself")
    text = description if description is not None else inspect.getdoc(function) or ""
    hints = hints_of(function, names)
    return ActionDefinition(
        name=chosen,
        description=text[:_MAX_DESCRIPTION],
        function=function,
        input=derive_input(function, hints),
        output=derive_output(function, hints),
        asynchronous=inspect.iscoroutinefunction(function),
        idempotent=idempotent,
        timeout=timeout,
        compensation=compensation,
    )
