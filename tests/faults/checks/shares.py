"""C1, C2: limits of calls hold over all executions and servers, and what is kept is not worked out again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tests.faults.checks.steps import ROUNDING, at, seconds, was_recalled
from tests.faults.rig.evidence import CACHED, PACED, TOGETHER, Evidence, Stored, Violation
from tests.faults.rig.record import Body

_MOST_WINDOWS = 3
"""How many windows of a rate may have begun within the time of one, as its calls are written down: one that
goes on, the next one, and one more for what was written down a little before its turn."""


def limits_are_kept(evidence: Evidence) -> Iterator[Violation]:
    """C1: no more calls of a step run at the same time than may, and they begin no faster than they may."""
    groups: dict[tuple[str, str], list[Body]] = {}
    for body in evidence.bodies:
        if (step := _id_of(body.step)) in TOGETHER and body.ended is not None:
            groups.setdefault((step, body.given.get("key", "")), []).append(body)
    for (step, key), bodies in groups.items():
        yield from _crowds(step, key, bodies)
    yield from _too_fast(evidence)


def _crowds(step: str, key: str, bodies: list[Body]) -> Iterator[Violation]:
    """Count whose bodies run at a time; two of one call are one: it may run again while the first goes on."""
    times = [(body.began, 1, _call(body)) for body in bodies]
    times += [(body.ended or 0.0, -1, _call(body)) for body in bodies]
    running: Counter[tuple[str, str]] = Counter()
    for time, change, call in sorted(times):
        running[call] += change
        if not running[call]:
            del running[call]
        elif change > 0 and len(running) > TOGETHER[step]:
            yield Violation(
                "C1", f"{len(running)} calls of {step} {key!r} ran at {time:.3f}: {sorted(running)}"
            )


def _call(body: Body) -> tuple[str, str]:
    return body.execution, body.step


def _too_fast(evidence: Evidence) -> Iterator[Violation]:
    for step, (rate, per) in PACED.items():
        begun = sorted(time for stored in evidence.stored.values() for time in _turns(stored, step))
        most = rate * _MOST_WINDOWS
        for first, last in zip(begun, begun[most:], strict=False):
            if last - first < per - ROUNDING and evidence.is_calm(first, last):
                text = f"more than {most} calls of {step} began within {last - first:.3f} s of {per} s"
                yield Violation("C1", f"{text}, {rate} may")


def _turns(stored: Stored, wanted: str) -> Iterator[float]:
    """Yield from when on calls of a step might begin, as is written down; what is begun anew counts once."""
    begin: dict[tuple[str, int], float] = {}
    calls: Counter[str] = Counter()
    for event in stored.of_kind("step_scheduled", "step_waiting", "step_retry_scheduled"):
        path, until = event["data"]["step_id"], event["data"].get("until")
        if _id_of(path) != wanted:
            continue
        if event["kind"] == "step_retry_scheduled":
            calls[path] += 1
        elif until:
            begin[path, calls[path]] = seconds(until)
        else:
            begin.setdefault((path, calls[path]), at(event))
    yield from begin.values()


class _Kept(NamedTuple):
    """An output that a call of one execution gave, and others may take."""

    execution: str
    recorded: float
    output: Any


def what_is_kept_is_not_done_again(evidence: Evidence) -> Iterator[Violation]:
    """C2: a step takes what a call of its key gave, in its time and no longer; no call is made meanwhile."""
    bodies = [body for body in evidence.bodies if _id_of(body.step) in CACHED]
    keys = {(body.execution, body.step): body.given["key"] for body in bodies}
    given = {(_id_of(b.step), b.given["key"], _text(b.output)) for b in bodies if b.output is not None}
    kept: dict[tuple[str, str], list[_Kept]] = {}
    for stored in evidence.stored.values():
        for data, time in _of_cached(stored):
            step, key = _id_of(data["step_id"]), _key(stored)
            if was_recalled(data):
                if (step, key, _text(data["output"])) not in given:
                    yield Violation(
                        "C2", f"{stored.id}: {data['step_id']} took {data['output']}, not of {key}"
                    )
            elif (stored.id, data["step_id"]) in keys:
                kept.setdefault((step, key), []).append(_Kept(stored.id, time, data["output"]))
    yield from _done_again(evidence, kept)
    yield from _too_old(evidence, kept)


def _of_cached(stored: Stored) -> Iterator[tuple[Any, float]]:
    for event in stored.of_kind("step_completed"):
        if _id_of(event["data"]["step_id"]) in CACHED:
            yield event["data"], at(event)


def _done_again(evidence: Evidence, kept: dict[tuple[str, str], list[_Kept]]) -> Iterator[Violation]:
    """Compare each call with those that were recorded before its turn came; one at a time has it."""
    for (step, key), outputs in kept.items():
        if TOGETHER.get(step) != 1:
            continue
        for one in outputs:
            asked = _turn_of(evidence.stored[one.execution], step)
            earlier = [
                it for it in outputs if it.execution != one.execution and it.recorded < asked - ROUNDING
            ]
            for it in earlier:
                calm = evidence.is_calm(it.recorded - 1, it.recorded + 1)
                if one.recorded < it.recorded + CACHED[step] and calm:
                    text = f"{one.execution} called {step} for {key}, which {it.execution} had done"
                    yield Violation("C2", text)


def _too_old(evidence: Evidence, kept: dict[tuple[str, str], list[_Kept]]) -> Iterator[Violation]:
    """Compare what was taken with when it was given."""
    recorded = {(step, _text(it.output)): it.recorded for (step, _), them in kept.items() for it in them}
    for stored in evidence.stored.values():
        for data, _ in _of_cached(stored):
            step = _id_of(data["step_id"])
            given = recorded.get((step, _text(data["output"])))
            if not was_recalled(data) or given is None:
                continue
            age = _turn_of(stored, data["step_id"]) - given
            if age > CACHED[step] + ROUNDING:
                yield Violation(
                    "C2", f"{stored.id}: {step} took what was {age:.1f} s old of {CACHED[step]} s"
                )


def _turn_of(stored: Stored, path: str) -> float:
    """Return when a step was scheduled last, or had its turn: it looks for what is kept after that."""
    times = [at(event) for event in stored.of_kind("step_scheduled") if event["data"]["step_id"] == path]
    return max(times, default=0.0)


def _key(stored: Stored) -> str:
    key: str = stored.of_kind("execution_started")[0]["data"]["input"].get("currency", "")
    return key


def _id_of(path: str) -> str:
    return path.rpartition("/")[2]


def _text(output: Mapping[str, Any]) -> str:
    return str(sorted(output.items()))
