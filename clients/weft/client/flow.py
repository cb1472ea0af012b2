"""Workflows in Python: the same definitions as in files, with types and names that an editor knows.

Every function makes one kind of step. It goes on to the one behind it in its list unless it says ``next``::

    order = flow.workflow(
        "order",
        [
            flow.action("charge", "cards", "charge", input={"amount": flow.ref("input", "amount")}),
            flow.switch("large", {"input.amount > 100": "check"}, default="ship"),
            flow.approval("check", "Ship it?"),
            flow.action("ship", "post", "send"),
        ],
    )
    await client.workflows.create(**order.arguments)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Unpack

from weft.client._flow import END, Draft, Options, Steps, Target, linked, made, span, target, time_text
from weft.client._flow_parts import cached, limited, on_error, ref, undo
from weft.client._writing.fields import DurationLike
from weft.client.records import (
    ApprovalStep,
    Branch,
    ChildStep,
    Concurrency,
    EmitStep,
    FailStep,
    LoopStep,
    MapStep,
    ParallelStep,
    Record,
    SignalStep,
    Step,
    StepDefaults,
    SucceedStep,
    SwitchCase,
    SwitchStep,
    WaitStep,
)

__all__ = [
    "END",
    "Draft",
    "Flow",
    "Options",
    "Steps",
    "Target",
    "action",
    "approval",
    "cached",
    "child",
    "emit",
    "fail",
    "limited",
    "loop",
    "map_",
    "on_error",
    "parallel",
    "ref",
    "set_",
    "signal",
    "succeed",
    "switch",
    "undo",
    "wait",
    "workflow",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow(Record):
    """A definition of a workflow; ``to_dict()`` is what a JSON file of it says."""

    name: str
    """Unique among workflows."""
    steps: tuple[Step, ...]
    """The first one is where an execution begins."""
    description: str | None = None
    """For people."""
    metadata: Mapping[str, Any] | None = None
    """Free JSON object."""
    input_schema: Mapping[str, Any] | None = None
    """JSON Schema of the input."""
    output_schema: Mapping[str, Any] | None = None
    """JSON Schema of the result."""
    timeout: timedelta | None = None
    """How long an execution may take in all."""
    concurrency: Concurrency | None = None
    """How many executions run at the same time."""
    finally_: tuple[Step, ...] | None = None
    """What runs at the end, however the execution ends."""
    defaults: StepDefaults | None = None
    """What steps have that say nothing themselves."""
    retention: timedelta | None = None
    """How long ended executions are kept."""
    search_attributes: Mapping[str, str] | None = None
    """What executions can be found by."""
    labels: Mapping[str, str] | None = None
    """For people and tools."""

    @property
    def arguments(self) -> dict[str, Any]:
        """What ``create`` and ``validate`` of ``client.workflows`` take."""
        said = {member.name: getattr(self, member.name) for member in fields(self)}
        return {name: value for name, value in said.items() if value is not None}


def workflow(
    name: str,
    steps: Steps,
    *,
    description: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    input_schema: Mapping[str, Any] | None = None,
    output_schema: Mapping[str, Any] | None = None,
    timeout: DurationLike | None = None,
    concurrency: Concurrency | None = None,
    finally_: Steps | None = None,
    defaults: StepDefaults | None = None,
    retention: DurationLike | None = None,
    search_attributes: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
) -> Flow:
    """Define a workflow; what is not said is as in a file that does not say it."""
    return Flow(
        name=name,
        steps=linked(steps),
        description=description,
        metadata=metadata,
        input_schema=input_schema,
        output_schema=output_schema,
        timeout=None if timeout is None else span(timeout),
        concurrency=concurrency,
        finally_=None if finally_ is None else linked(finally_),
        defaults=defaults,
        retention=None if retention is None else span(retention),
        search_attributes=search_attributes,
        labels=labels,
    )


def action(step: str, service: str, action: str, **options: Unpack[Options]) -> Draft:
    """Call an action of a registered service."""
    return made(Step(id=step, service=service, action=action), options)


def switch(
    step: str, cases: Mapping[str, Target], *, default: Target = END, **options: Unpack[Options]
) -> Draft:
    """Go on where the first condition that holds says; ``default`` when none does."""
    said = tuple(SwitchCase(when=when, next=target(then)) for when, then in cases.items())
    return made(Step(id=step, switch=SwitchStep(cases=said, default=target(default))), options)


def parallel(
    step: str,
    branches: Mapping[str, Steps],
    *,
    join: int = 0,
    collect_errors: bool = False,
    **options: Unpack[Options],
) -> Draft:
    """Run several lists of steps at the same time, each with a name; wait for ``join`` of them, 0: all."""
    said = tuple(Branch(name=name, steps=linked(steps)) for name, steps in branches.items())
    kind = ParallelStep(branches=said, join=join, collect_errors=collect_errors)
    return made(Step(id=step, parallel=kind), options)


def map_(
    step: str,
    items: object,
    steps: Steps = (),
    *,
    workflow: ChildStep | None = None,
    max_concurrency: int = 0,
    tolerated_failures: int = 0,
    discard_outputs: bool = False,
    **options: Unpack[Options],
) -> Draft:
    """Run steps, or a workflow, for each item; ``items`` may be a Python ``range`` as well."""
    if isinstance(items, range):
        stride = {} if items.step == 1 else {"step": items.step}
        items = {"from": items.start, "to": items.stop, **stride}
    kind = MapStep(
        items=items,
        steps=linked(steps),
        workflow=workflow,
        max_concurrency=max_concurrency,
        tolerated_failures=tolerated_failures,
        discard_outputs=discard_outputs,
    )
    return made(Step(id=step, map=kind), options)


def loop(
    step: str,
    steps: Steps,
    *,
    while_: str = "",
    until: str = "",
    max_iterations: int = 0,
    **options: Unpack[Options],
) -> Draft:
    """Run steps again while a condition holds (looked at before), or until one does (looked at after)."""
    kind = LoopStep(while_=while_, until=until, steps=linked(steps), max_iterations=max_iterations)
    return made(Step(id=step, loop=kind), options)


def wait(
    step: str,
    duration: DurationLike | str = "",
    *,
    until: datetime | str = "",
    **options: Unpack[Options],
) -> Draft:
    """Wait for some time, or until a time; texts may hold expressions."""
    return made(Step(id=step, wait=WaitStep(duration=time_text(duration), until=time_text(until))), options)


def signal(
    step: str,
    name: str,
    *,
    correlation: str = "",
    schema: Mapping[str, Any] | None = None,
    **options: Unpack[Options],
) -> Draft:
    """Wait for a message from outside."""
    return made(Step(id=step, signal=SignalStep(name=name, correlation=correlation, schema=schema)), options)


def approval(
    step: str,
    title: str,
    *,
    assignees: Sequence[str] = (),
    due: DurationLike | str = "",
    outcomes: Sequence[str] = (),
    schema: Mapping[str, Any] | None = None,
    **options: Unpack[Options],
) -> Draft:
    """Wait for the decision of a person."""
    kind = ApprovalStep(
        title=title, assignees=tuple(assignees), due=time_text(due), outcomes=tuple(outcomes), schema=schema
    )
    return made(Step(id=step, approval=kind), options)


def child(
    step: str,
    name: str,
    *,
    version: int = 0,
    alias: str = "",
    abandon: bool = False,
    **options: Unpack[Options],
) -> Draft:
    """Run another workflow and wait for its end."""
    kind = ChildStep(name=name, version=version, alias=alias, abandon=abandon)
    return made(Step(id=step, workflow=kind), options)


def set_(step: str, values: Mapping[str, Any], **options: Unpack[Options]) -> Draft:
    """Set variables."""
    return made(Step(id=step, set=values), options)


def emit(step: str, type: str, data: Mapping[str, Any] | None = None, **options: Unpack[Options]) -> Draft:  # noqa: A002 - the word of the contract
    """Record an event."""
    return made(Step(id=step, emit=EmitStep(type=type, data=data)), options)


def fail(step: str, reason: str, message: str = "", **options: Unpack[Options]) -> Draft:
    """Fail with an error of one's own."""
    return made(Step(id=step, fail=FailStep(reason=reason, message=message)), options)


def succeed(step: str, result: Mapping[str, Any] | None = None, **options: Unpack[Options]) -> Draft:
    """End the execution at once, with success."""
    return made(Step(id=step, succeed=SucceedStep(result=result)), options)
