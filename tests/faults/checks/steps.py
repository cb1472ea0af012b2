"""W3, W4, W5, W12: one record for each step, made of what a body really returned, by one attempt each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import pairwise
from typing import Any

from tests.faults.rig.evidence import (
    CACHED,
    Evidence,
    HistoryEvent,
    Stored,
    Violation,
    is_of_the_end,
    step_kind,
)
from tests.faults.rig.record import Body

ROUNDING = 0.001
"""How much a time may lose by being written in microseconds, twice."""

TURN_CAME = "its turn came"
"""Why an attempt is scheduled that was scheduled before, and had to wait for its turn."""

_RESULTS = ("step_completed", "step_failed")


def one_result_for_each_step(evidence: Evidence) -> Iterator[Violation]:
    """W3: a step has one completion, nothing is recorded of it afterwards, and no step has two failures."""
    for stored in evidence.stored.values():
        done: Counter[str] = Counter()
        for event in stored.of_kind("step_scheduled", *_RESULTS):
            step = event["data"]["step_id"]
            if done[step]:
                yield Violation("W3", f"{stored.id}: {event['kind']} of {step} after its completion")
            done[step] += event["kind"] == "step_completed"
        failures = Counter(event["data"]["step_id"] for event in stored.of_kind("step_failed"))
        for step in (step for step, count in failures.items() if count > 1):
            yield Violation("W3", f"{stored.id}: {step} failed {failures[step]} times")


def records_are_what_bodies_returned(evidence: Evidence) -> Iterator[Violation]:
    """W3, W4: a recorded output was returned by a body of that attempt, and is what the next one got."""
    for stored in evidence.stored.values():
        recorded = {
            event["data"]["step_id"]: event["data"]
            for event in stored.of_kind("step_completed")
            if not step_kind(event["data"]["step_id"])
        }
        for step, data in recorded.items():
            returned = [body.output for body in _bodies(evidence, stored, step, data["attempt"])]
            if data["output"] not in returned and not was_recalled(data):
                yield Violation(
                    "W4",
                    f"{stored.id}: {step} is recorded as {data['output']}, its bodies returned {returned}",
                )
        yield from _handed_on(evidence, stored, {step: data["output"] for step, data in recorded.items()})


def was_recalled(completed: Mapping[str, Any]) -> bool:
    """Tell whether a step took what was kept of an earlier call: then nobody ran it."""
    return completed["step_id"].rpartition("/")[2] in CACHED and not completed["instance_id"]


def _bodies(evidence: Evidence, stored: Stored, step: str, attempt: int) -> list[Body]:
    """Return the runs of an attempt; what an execution undoes was run by the one that it undoes."""
    owners = (stored.id, stored.origin) if not is_of_the_end(step) else (stored.id,)
    bodies = (body for owner in owners for body in evidence.bodies_of.get((owner, step), []))
    return [body for body in bodies if body.attempt == attempt]


def _handed_on(
    evidence: Evidence, stored: Stored, outputs: dict[str, dict[str, object]]
) -> Iterator[Violation]:
    marks = {output.get("mark") for output in outputs.values()}
    for body in evidence.bodies_in.get(stored.id, []):
        prior = body.given.get("prior")
        if prior and prior not in marks:
            yield Violation("W3", f"{stored.id}: {body.step} was given {prior}, which is not recorded")


def bodies_are_of_stored(evidence: Evidence) -> Iterator[Violation]:
    """W4: nothing is run before what it belongs to is stored."""
    for execution in sorted(evidence.bodies_in.keys() - evidence.stored.keys()):
        yield Violation("W4", f"a body of {execution} ran, which is not stored")


def keys_name_steps(evidence: Evidence) -> Iterator[Violation]:
    """W4: all attempts of a step carry one idempotency key, which no other step has."""
    owners: dict[str, set[tuple[str, str]]] = {}
    for (execution, step), bodies in evidence.bodies_of.items():
        keys = {body.key for body in bodies}
        if len(keys) > 1:
            yield Violation("W4", f"{execution}: {step} ran with the keys {sorted(keys)}")
        for key in keys:
            owners.setdefault(key, set()).add((execution, step))
    for key, steps in owners.items():
        if len(steps) > 1:
            yield Violation("W4", f"the key {key} stands for {sorted(steps)}")


def attempts_count_up(evidence: Evidence) -> Iterator[Violation]:
    """W12: attempts are 1, 2, …, each is dispatched once, and there are at most as many as allowed."""
    for (execution, step), bodies in evidence.bodies_of.items():
        for attempt, count in Counter(body.attempt for body in bodies).items():
            if count > 1:
                yield Violation("W12", f"{execution}: attempt {attempt} of {step} ran {count} times")
    for stored in evidence.stored.values():
        last: dict[str, int] = {}
        for event in stored.of_kind("step_scheduled"):
            step, attempt = event["data"]["step_id"], event["data"]["attempt"]
            waited = event["data"].get("cause") == TURN_CAME
            if attempt != last.get(step, 0) + (0 if waited else 1):
                yield Violation(
                    "W12", f"{stored.id}: attempt {attempt} of {step} follows {last.get(step, 0)}"
                )
            last[step] = attempt
        yield from _bounded(stored, evidence.max_attempts)


def _bounded(stored: Stored, limit: int | None) -> Iterator[Violation]:
    if limit is None:
        return
    failed = Counter(
        event["data"]["step_id"] for event in stored.of_kind("step_retry_scheduled", "step_failed")
    )
    for step, count in failed.items():
        if count > limit:
            yield Violation("W12", f"{stored.id}: {step} failed {count} times, {limit} are allowed")


def retries_wait(evidence: Evidence) -> Iterator[Violation]:
    """W12: no attempt begins before the time that its retry was put off to, by either clock."""
    for stored in evidence.stored.values():
        due: dict[str, float] = {}
        since: dict[str, float] = {}
        for event in stored.events:
            step = event["data"].get("step_id", "")
            if event["kind"] == "step_retry_scheduled":
                due[step] = seconds(event["data"]["retry_time"])
                # It failed some time before that was recorded, and after it was scheduled.
                pause = due[step] - since.get(step, 0.0)
                if pause < evidence.backoff - ROUNDING:
                    yield Violation("W12", f"{stored.id}: {step} is due {pause:.3f} s after it was scheduled")
            elif event["kind"] == "step_scheduled":
                since[step] = at(event)
                if at(event) < due.pop(step, 0.0) - ROUNDING:
                    yield Violation("W12", f"{stored.id}: {step} was tried again before it was due")
    yield from _pauses(evidence)


def _pauses(evidence: Evidence) -> Iterator[Violation]:
    for (execution, step), bodies in evidence.bodies_of.items():
        for failed, again in pairwise(sorted(bodies, key=lambda body: body.attempt)):
            if failed.failed and failed.ended and again.began < failed.ended + evidence.backoff - ROUNDING:
                pause = again.began - failed.ended
                yield Violation("W12", f"{execution}: {step} was tried again after {pause:.3f} s")


def stale_writes_are_refused(evidence: Evidence) -> Iterator[Violation]:
    """W5: what a server writes after it lost its lease is not taken."""
    for fence in evidence.fences:
        if fence["accepted"]:
            yield Violation("W5", f"{fence['server']} wrote {fence['write']} after its lease was gone")


def at(event: HistoryEvent) -> float:
    """When an event was recorded, in seconds since 1970."""
    return seconds(event["time"])


def seconds(text: str) -> float:
    """Return a written time in seconds since 1970."""
    return datetime.fromisoformat(text).timestamp()
