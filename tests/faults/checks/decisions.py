"""A1, L2: what people decide counts once, and loops go round as often as they say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.faults.rig.evidence import Evidence, Stored, Violation, step_kind
from tests.faults.rig.record import Operation, Outcome

_WAY_ON = {"grant": "s1", "deny": "s2"}
"""Which step follows a decision."""


def decisions_count_once(evidence: Evidence) -> Iterator[Violation]:
    """A1: the decision that was acknowledged is recorded, whole; what was refused is not, and no other is."""
    made: dict[str, list[Operation]] = {}
    for op in evidence.operations:
        if op.name == "decide":
            made.setdefault(op.request["id"], []).append(op)
    for execution, ops in made.items():
        stored = evidence.stored.get(execution)
        recorded = _decided(stored) if stored is not None else []
        yield from _acknowledged(execution, ops, recorded)
        for decision in recorded:
            yield from _as_made(execution, ops, decision)
    for stored in evidence.stored.values():
        yield from _followed(stored)


def _decided(stored: Stored) -> list[Mapping[str, Any]]:
    """Return what approvals of an execution gave."""
    events = stored.of_kind("step_completed")
    return [it["data"]["output"] for it in events if step_kind(it["data"]["step_id"]) == "approval"]


def _acknowledged(
    execution: str, ops: list[Operation], recorded: list[Mapping[str, Any]]
) -> Iterator[Violation]:
    names = [decision["by"] for decision in recorded]
    accepted = [op.request["by"] for op in ops if op.ok]
    if len(accepted) > 1:
        yield Violation("A1", f"{execution}: the decisions of {accepted} were all accepted")
    for name in (name for name in accepted if name not in names):
        yield Violation("A1", f"{execution}: the decision of {name} was accepted, recorded are {names}")


def _as_made(execution: str, ops: list[Operation], decision: Mapping[str, Any]) -> Iterator[Violation]:
    name = decision["by"]
    own = next((op for op in ops if op.request["by"] == name), None)
    if own is None:
        yield Violation("A1", f"{execution}: the decision of {name!r} is recorded, and nobody made it")
    elif own.outcome is Outcome.FAIL:
        yield Violation("A1", f"{execution}: the decision of {name} was refused, and is recorded")
    elif (decision["outcome"], decision["data"]) != (own.request["outcome"], {"word": name}):
        yield Violation("A1", f"{execution}: {name} said {own.request['outcome']}, recorded is {decision}")


def _followed(stored: Stored) -> Iterator[Violation]:
    """Compare where an execution went with what was decided."""
    wanted = [_WAY_ON.get(decision["outcome"], "") for decision in _decided(stored)]
    if not wanted or stored.state != "COMPLETED":
        return
    completed = [event["data"]["step_id"] for event in stored.of_kind("step_completed")]
    went = [step for step in completed if step in _WAY_ON.values()]
    if went != wanted:
        yield Violation("A1", f"{stored.id} went on at {went}, decided was {wanted}")


def loops_go_in_order(evidence: Evidence) -> Iterator[Violation]:
    """L2: one iteration after the other, as many as are wanted, each given what the one before it left."""
    for stored in evidence.stored.values():
        for event in stored.of_kind("step_completed"):
            path, output = event["data"]["step_id"], event["data"]["output"]
            if step_kind(path) == "loop":
                yield from _went_round(stored, path, output)
        yield from _one_at_a_time(stored)
        yield from _given_what_was_left(evidence, stored)


def _went_round(stored: Stored, path: str, output: Mapping[str, Any]) -> Iterator[Violation]:
    wanted = stored.of_kind("execution_started")[0]["data"]["input"]["rounds"]
    scopes = [event["data"]["scope"] for event in stored.of_kind("scope_completed")]
    rounds = [scope for scope in scopes if scope.startswith(f"{path}[")]
    if rounds != [f"{path}[{number}]" for number in range(wanted)]:
        yield Violation("L2", f"{stored.id}: {path} did {rounds}, {wanted} were wanted")
    last = _outputs(stored).get(f"{path}[{wanted - 1}]/tally")
    if output != {"iterations": wanted, "last": last}:
        yield Violation("L2", f"{stored.id}: {path} gave {output}, its last iteration {last}")
    if last is not None and last["count"] != wanted:
        yield Violation("L2", f"{stored.id}: {last['count']} iterations were counted, {wanted} were wanted")


def _one_at_a_time(stored: Stored) -> Iterator[Violation]:
    ended: set[str] = set()
    for event in stored.of_kind("step_scheduled", "scope_completed"):
        if event["kind"] == "scope_completed":
            ended.add(event["data"]["scope"])
            continue
        loop, number = _iteration(event["data"]["step_id"])
        if number > 0 and f"{loop}[{number - 1}]" not in ended:
            yield Violation(
                "L2", f"{stored.id}: iteration {number} of {loop} began before the one before it ended"
            )


def _iteration(path: str) -> tuple[str, int]:
    """Return the loop that a step is in, and in which iteration; -1: in none."""
    loop, _, number = path.rpartition("/")[0].partition("[")
    return (loop, int(number.removesuffix("]"))) if step_kind(loop) == "loop" else (loop, -1)


def _given_what_was_left(evidence: Evidence, stored: Stored) -> Iterator[Violation]:
    outputs = _outputs(stored)
    for body in evidence.bodies_in.get(stored.id, []):
        loop, number = _iteration(body.step)
        if number < 0 or not body.step.endswith("/r0"):
            continue
        left = outputs.get(f"{loop}[{number - 1}]/r1", {}).get("mark", "")
        if (body.given.get("n"), body.given.get("prior")) != (number, left):
            yield Violation("L2", f"{stored.id}: {body.step} was given {body.given}, left was {left!r}")


def _outputs(stored: Stored) -> dict[str, Mapping[str, Any]]:
    return {event["data"]["step_id"]: event["data"]["output"] for event in stored.of_kind("step_completed")}
