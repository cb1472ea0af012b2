"""W1, W2, W6: nothing accepted is lost, histories only grow, and one request starts one execution."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

from tests.faults.rig.evidence import FINAL, LAST_EVENTS, Evidence, HistoryEvent, Stored, Violation
from tests.faults.rig.record import Outcome

NO_ROOM = frozenset({"STORE_FULL", "ENGINE_FULL"})
"""Why something is refused that may be accepted later."""


def accepted_ends(evidence: Evidence) -> Iterator[Violation]:
    """W1: every accepted execution is stored, and has reached exactly one final state."""
    for lost in sorted(evidence.accepted - evidence.stored.keys()):
        yield Violation("W1", f"{lost} was accepted and is lost")
    asked = {op.request["request_id"] for op in evidence.operations if op.name in {"start", "execute"}}
    for stored in evidence.stored.values():
        if not stored.parent and stored.token not in asked:
            yield Violation("W1", f"{stored.id} was started by nobody")
        yield from _one_end(stored)


def _one_end(stored: Stored) -> Iterator[Violation]:
    ends = stored.of_kind(*LAST_EVENTS)
    if stored.state not in FINAL:
        yield Violation("W1", f"{stored.id} is still {stored.state} after the drain")
    if len(ends) > 1:
        yield Violation("W1", f"{stored.id} ended {len(ends)} times: {[it['kind'] for it in ends]}")
    if len(ends) == 1 and ends[0] is not stored.events[-1]:
        yield Violation("W1", f"{stored.id} went on after {ends[0]['kind']}")
    if len(ends) == 1 and LAST_EVENTS[ends[0]["kind"]] != stored.state:
        yield Violation("W1", f"{stored.id} is {stored.state}, its history says {ends[0]['kind']}")


def final_state_stays(evidence: Evidence) -> Iterator[Violation]:
    """W1: a final state that anybody was told is the state to the end."""
    for op in evidence.ok("execute", "get", "cancel", "watch"):
        told, stored = op.answer.get("state", ""), evidence.stored.get(op.answer.get("id", ""))
        if told in FINAL and stored is not None and stored.state != told:
            yield Violation("W1", f"{stored.id} was {told} and is {stored.state}")
        if stored is not None and "result" in op.answer and op.answer["result"] != stored.result:
            yield Violation("W1", f"{stored.id} had the result {op.answer['result']}, now {stored.result}")


def history_grows(evidence: Evidence) -> Iterator[Violation]:
    """W2: numbers are 1, 2, … without gaps, and what was read earlier is a prefix, byte for byte."""
    for stored in evidence.stored.values():
        numbers = [event["number"] for event in stored.events]
        if numbers != list(range(1, len(numbers) + 1)):
            yield Violation("W2", f"{stored.id} has the event numbers {numbers}")
        if stored.last_event != len(numbers):
            yield Violation("W2", f"{stored.id} claims {stored.last_event} events and has {len(numbers)}")
    for execution, readings in evidence.readings.items():
        yield from _prefixes(execution, readings, evidence)


def _prefixes(
    execution: str, readings: list[tuple[HistoryEvent, ...]], evidence: Evidence
) -> Iterator[Violation]:
    stored = evidence.stored.get(execution)
    longest = [_text(event) for event in (stored.events if stored else max(readings, key=len))]
    for reading in readings:
        for place, event in enumerate(reading):
            if place >= len(longest):
                yield Violation("W2", f"{execution}: event {event['number']} was read and is gone")
                break
            if _text(event) != longest[place]:
                yield Violation("W2", f"{execution}: event {place + 1} was {_text(event)}: {longest[place]}")
                break


def _text(event: HistoryEvent) -> str:
    return json.dumps({name: event[name] for name in ("number", "time", "kind", "data")}, sort_keys=True)


def starts_are_idempotent(evidence: Evidence) -> Iterator[Violation]:
    """W6: one request id starts one execution; with another input it is refused."""
    for request, ids in evidence.started.items():
        if len(ids) > 1:
            yield Violation("W6", f"{request} was answered with {sorted(ids)}")
    for token, count in Counter(
        stored.token for stored in evidence.stored.values() if not stored.parent
    ).items():
        if count > 1:
            yield Violation("W6", f"{token} started {count} executions")
    for op in evidence.operations:
        if op.request.get("other_input") and op.outcome is Outcome.OK:
            yield Violation("W6", f"{op.request['request_id']} was accepted again with another input")
        if op.request.get("other_input") and op.outcome is Outcome.FAIL:
            reason = op.answer["reason"]
            if reason not in {"REQUEST_ID_REUSED", *NO_ROOM}:
                yield Violation("W6", f"{op.request['request_id']} with another input: {reason}")
