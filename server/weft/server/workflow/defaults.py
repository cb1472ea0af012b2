"""What steps have that say nothing themselves."""

from __future__ import annotations

from dataclasses import replace

from weft.server.workflow.model import Step, StepDefaults

__all__ = ["with_defaults"]


def with_defaults(step: Step, defaults: StepDefaults | None) -> Step:
    """Return a step as it runs: one that calls an action, with the defaults where it says nothing.

    What undoes it is not touched: that has defaults of its own. Steps inside of a step are steps of their
    own, and are given their defaults in the same way.
    """
    if defaults is None or step.does is not None:
        return step
    return replace(
        step,
        retry=defaults.retry if step.retry is None else step.retry,
        timeout=defaults.timeout if step.timeout is None else step.timeout,
        heartbeat_timeout=(
            defaults.heartbeat_timeout if step.heartbeat_timeout is None else step.heartbeat_timeout
        ),
        schedule_to_close_timeout=(
            defaults.schedule_to_close_timeout
            if step.schedule_to_close_timeout is None
            else step.schedule_to_close_timeout
        ),
    )
