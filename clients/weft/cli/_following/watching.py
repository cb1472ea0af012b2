"""Follow an execution to its end, in the form that suits where the text goes."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from weft.cli._base import output
from weft.cli._base.errors import Exit, report
from weft.cli._base.session import Output, Settings
from weft.cli._following.live import show_lines, show_live
from weft.cli._following.progress import Progress
from weft.cli._following.telling import advice
from weft.core.errors import ActionFailedError, Code, WeftError
from weft.core.reasons import Reason

if TYPE_CHECKING:
    from weft.client import Client, Event, Execution, StepExecution

__all__ = ["exit_code_of", "failure_of", "follow", "plain_event", "report_end", "wait_for_end"]

_ADVICE: Final = 5
"""How often the same kind of advice is given: a map may ask for each of its items."""

_EXITS: Final = {
    "COMPLETED": Exit.OK,
    "RUNNING": Exit.OK,
    "PAUSED": Exit.OK,
    "INCIDENT": Exit.OK,
    "TIMED_OUT": Exit.DEADLINE,
}


async def follow(
    weft: Client, settings: Settings, execution: Execution, *, after: int = 0, aside: bool = False
) -> None:
    """Show every event until the execution has ended.

    Args:
        weft: Who to ask.
        settings: How to print.
        execution: Which execution.
        after: The last event number already seen.
        aside: Whether a result will follow, so that people read the events on stderr.
    """
    events = weft.executions.watch(execution.id, after=after)
    if not settings.for_people:
        async for event in events:
            output.stream_item(settings, plain_event(event))
        return
    advise = _advise(execution)
    stream = sys.stderr if aside else sys.stdout
    if not stream.isatty():

        def write(line: str) -> None:
            stream.write(line + "\n")
            stream.flush()

        await show_lines(events, Progress(), write, advise)
        return
    progress = Progress(await _step_ids(weft, execution))
    title = f"{execution.workflow_name} v{execution.workflow_version}  {execution.id}"
    await show_live(events, progress, title, output.console(settings, stderr=aside), advise)


def plain_event(event: Event) -> dict[str, Any]:
    """Return an event as a JSON object; one of a history does not say the state after it."""
    return {name: value for name, value in event.to_dict().items() if name != "state" or value}


async def wait_for_end(weft: Client, settings: Settings, execution: Execution) -> None:
    """Return when the execution has ended, however long that takes; tell people what it waits for them."""
    advise = _advise(execution)
    async for event in weft.executions.watch(execution.id):
        if settings.for_people and (text := advise(event)):
            output.note(text)


def _advise(execution: Execution) -> Callable[[Event], str]:
    """Give advice about what happens from now on; what came before is over, but for the newest."""
    given: Counter[str] = Counter()

    def advise(event: Event) -> str:
        text = advice(event, execution.id) if event.number >= execution.last_event_number else ""
        given[event.kind] += bool(text)
        return text if given[event.kind] <= _ADVICE else ""

    return advise


async def _step_ids(weft: Client, execution: Execution) -> list[str]:
    """Return the steps in the order they will run; none when the workflow is gone."""
    try:
        workflow = await weft.workflows.get(execution.workflow_id, version=execution.workflow_version)
    except WeftError:
        return []
    steps = {step.id: step for step in workflow.steps}
    order: list[str] = []
    current = workflow.steps[0].id if workflow.steps else ""
    while current in steps and current not in order:
        order.append(current)
        current = steps[current].next
    return order


def exit_code_of(execution: Execution) -> Exit:
    """Return the exit code of an execution that has ended."""
    return _EXITS.get(execution.state, Exit.FAILED)


def failure_of(execution: Execution) -> WeftError:
    """Return why an execution ended, as an error."""
    where = _where(execution)
    state = execution.state.replace("_", " ").lower()
    if execution.failure is None:
        return ActionFailedError(
            f"execution {execution.id} {state}{where}",
            reason=_REASONS.get(execution.state),
            code=Code.ABORTED,
        )
    failure = execution.failure
    return ActionFailedError(
        f"execution {execution.id} {state}{where}: {failure.reason}: {failure.message}",
        reason=failure.reason,
        code=failure.code,
        metadata={**failure.metadata, "execution": execution.id},
        violations=failure.violations,
    )


def _where(execution: Execution) -> str:
    """Name the step whose failure it is: of those inside of each other the innermost."""
    reason = execution.failure.reason if execution.failure else ""
    failed = [
        step
        for step in execution.steps
        if step.state == "FAILED" and not step.step_id.startswith(("undo/", "finally/"))
    ]
    same = [step for step in failed if step.failure is not None and step.failure.reason == reason]
    if not failed:
        return ""
    return _place(max(same or failed[:1], key=lambda step: step.step_id.count("/")), execution)


def _place(step: StepExecution, execution: Execution) -> str:
    """Name the step that failed, and the action it called unless the message names it itself."""
    called = f"{step.service}.{step.action}" if step.action else ""
    said = execution.failure is not None and called in execution.failure.message
    return f" at step {step.step_id}" if said else f" at step {step.step_id} ({called})"


_REASONS: Final = {
    "CANCELLED": Reason.EXECUTION_CANCELLED,
    "TIMED_OUT": Reason.EXECUTION_TIMEOUT,
}


def report_end(settings: Settings, execution: Execution) -> Exit:
    """Say on stderr why an execution did not complete; return the exit code of how it ended."""
    code = exit_code_of(execution)
    if code is not Exit.OK:
        report(failure_of(execution), as_json=settings.output is Output.JSON)
        if settings.for_people:
            output.note(f"Hint: `weft executions history {execution.id}` shows what happened.")
    return code
