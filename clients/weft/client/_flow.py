"""Steps on their way into a list: most go on to the one behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias, TypedDict

from weft.client._writing.fields import DurationLike
from weft.client.records import Compensation, ErrorHandler, Step, StepCache, StepLimit, StepRetry

__all__ = ["END", "Draft", "Options", "Steps", "Target", "linked", "made", "span", "target", "time_text"]


@dataclass(frozen=True, slots=True)
class Draft:
    """A step, before it is known what follows."""

    step: Step
    """What is said of it."""
    follows: bool = True
    """Whether the next one of its list comes after it."""

    @property
    def id(self) -> str:
        """The id of the step."""
        return self.step.id


Target: TypeAlias = str | Draft | Step
"""Where to go on: a step of the same list, or its id."""
Steps: TypeAlias = Sequence[Draft | Step]
"""A list of steps; a record says itself what follows."""

END: Final = ""
"""As a target: the list ends here."""


class Options(TypedDict, total=False):
    """What every step may say besides."""

    next: Target
    """What follows; by default the next one of the list."""
    description: str
    """For people."""
    input: Mapping[str, Any]
    """What it gets, with expressions as ``${ … }``."""
    output: Mapping[str, Any]
    """What stands for what it gave, with expressions also over ``output``."""
    timeout: DurationLike
    """How long one attempt may take, or how long it waits."""
    heartbeat_timeout: DurationLike
    """How long a running attempt may be silent."""
    schedule_to_close_timeout: DurationLike
    """How long all its attempts may take together."""
    retry: StepRetry
    """How it is tried again."""
    service_version: str
    """Which versions of the service it takes."""
    on_error: Sequence[ErrorHandler]
    """Where to go on when it fails for good: see ``on_error``."""
    compensate: Compensation
    """What undoes it: see ``undo``."""
    cache: StepCache
    """Take what an earlier call gave: see ``cached``."""
    limit: StepLimit
    """How much it is called: see ``limited``."""
    at_most_once: bool
    """An attempt whose outcome is not known is not repeated."""


_SPANS: Final = ("timeout", "heartbeat_timeout", "schedule_to_close_timeout")


def made(step: Step, options: Options) -> Draft:
    """Return a step that says all of this; one that never goes on to the next one says so itself."""
    said: dict[str, Any] = dict(options)
    following = said.pop("next", None)
    said.update({name: span(said[name]) for name in _SPANS if name in said})
    if "on_error" in said:
        said["on_error"] = tuple(said["on_error"])
    ends = step.kind in {"switch", "fail", "succeed"}
    if following is None:
        return Draft(replace(step, **said), follows=not ends)
    return Draft(replace(step, **said, next=target(following)), follows=False)


def linked(steps: Steps) -> tuple[Step, ...]:
    """Return the steps of a list, each with what follows."""
    ids = [step.id for step in steps]
    return tuple(
        replace(step.step, next=following) if isinstance(step, Draft) and step.follows else _record(step)
        for step, following in zip(steps, [*ids[1:], END], strict=False)
    )


def _record(step: Draft | Step) -> Step:
    return step.step if isinstance(step, Draft) else step


def target(step: Target) -> str:
    """Return the id of a step."""
    return step if isinstance(step, str) else step.id


def span(value: DurationLike) -> timedelta:
    """Return a duration, or its seconds, as a duration."""
    return value if isinstance(value, timedelta) else timedelta(seconds=value)


def time_text(value: DurationLike | datetime | str) -> str:
    """Return the text of a time or duration; text stays as it is, as it may hold expressions."""
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    return f"{span(value).total_seconds():.15g}s"
