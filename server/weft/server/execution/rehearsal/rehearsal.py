"""Runs a definition against results that are given, with a clock that is turned: nothing is called.

The rules are those of the engine (``settle``, ``timing``, ``retry``); only who answers
is another, and nothing is written anywhere.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from weft.core.context import CallContext
from weft.core.errors import PreconditionError, ValidationError, Violation, WeftError
from weft.core.names import EXECUTION_PREFIX, new_id
from weft.core.payload import JsonObject, dumps, loads
from weft.core.reasons import Reason, Rule
from weft.core.schema import schema_of
from weft.server.execution.engine.steps import action_input
from weft.server.execution.history.model import (
    Asked,
    Event,
    EventBody,
    Execution,
    ExecutionStarted,
    ExecutionTimedOut,
    Failure,
    Waits,
)
from weft.server.execution.history.numbered import summarize
from weft.server.execution.history.paths import UNDO, id_of
from weft.server.execution.history.place import Phase, Place
from weft.server.execution.history.plan import Plan
from weft.server.execution.history.run import Recording, Run
from weft.server.execution.history.waits import due_time, rest
from weft.server.execution.rehearsal.model import AttemptResult, KnownAction, Rehearsed, TestMessage
from weft.server.execution.rules.endings import completed, failed
from weft.server.execution.rules.retry import after_failure
from weft.server.execution.rules.settle import settle
from weft.server.execution.rules.timing import TIMED, when_due
from weft.server.workflow.model import Step

__all__ = ["MAX_EVENTS", "Rehearsal"]

MAX_EVENTS: Final = 10_000
_TURNS: Final = 50
_AGAINST: Final = (Waits.APPROVAL, Waits.CHILD)
"""Waits that end by a result that is given."""


@dataclass(order=True, slots=True)
class _Coming:
    """Something that happens at a time."""

    time: datetime
    number: int
    place: Place = field(compare=False)
    path: str = field(compare=False)
    attempt: int = field(compare=False)
    result: AttemptResult = field(compare=False)


class Rehearsal:
    """One run of a definition against given results.

    Args:
        plan: What is run.
        value: The input; it fits the workflow's schema.
        results: What each step gives, attempt by attempt, by id or path.
        messages: What comes from outside.
        actions: Those that are known, by service and action.
        start: When it begins.
    """

    def __init__(
        self,
        plan: Plan,
        value: JsonObject,
        results: Mapping[str, Sequence[AttemptResult]],
        messages: Sequence[TestMessage],
        actions: Mapping[tuple[str, str], KnownAction],
        start: datetime,
    ) -> None:
        self._plan = plan
        self._results = results
        self._actions = actions
        self._now = start
        self._messages = sorted(messages, key=lambda it: it.after, reverse=True)
        self._start = start
        self._events: list[Event] = []
        self._coming: list[_Coming] = []
        self._begun: set[tuple[str, int]] = set()
        self._missing: list[str] = []
        self._number = 0
        self._run = self._new_run(value)

    def _new_run(self, value: JsonObject) -> Run:
        plan, now = self._plan, self._start
        started = ExecutionStarted(
            input=dumps(value, "input"),
            context=CallContext(),
            workflow_id=plan.workflow_id,
            workflow_version=plan.version,
            timeout=plan.timeout,
        )
        execution = Execution(
            id=new_id(EXECUTION_PREFIX, now),
            workflow_id=plan.workflow_id,
            workflow_name=plan.workflow_name,
            workflow_version=plan.version,
            last_event=1,
            create_time=now,
            expire_time=now + plan.timeout if plan.timeout else None,
        )
        self._events.append(Event(1, now, started))
        return Run(execution, plan, self._events)

    async def run(self) -> Rehearsed:
        """Run it to its end, or to where nothing more happens."""
        self._record()
        turns = 0
        while not self._is_over() and self._go_on():
            turns += 1
            if turns % _TURNS == 0:
                await asyncio.sleep(0)  # others want to go on too
        run = self._run
        waiting = [place.path for place in run.standing.places.values() if place.phase in _STANDS]
        return Rehearsed(
            details=run.details(),
            events=self._events,
            missing=self._missing,
            waiting=[] if run.standing.final else waiting,
            truncated=len(self._events) >= MAX_EVENTS,
        )

    def _is_over(self) -> bool:
        return self._run.standing.final is not None or bool(self._missing) or len(self._events) >= MAX_EVENTS

    def _go_on(self) -> bool:
        """Begin what is scheduled, and turn the clock to what happens next; False when nothing does."""
        run = self._run
        if run.standing.touched:
            self._record()
            return True
        for place in list(run.standing.places.values()):
            self._begin(place)
        if self._missing:
            return False
        moment = min(self._moments(), default=None)
        if moment is None:
            return False
        self._now = max(self._now, moment)
        self._happen()
        return True

    def _moments(self) -> list[datetime]:
        found = [self._coming[0].time] if self._coming else []
        if self._messages:
            found.append(self._start + self._messages[-1].after)
        if self._run.execution.expire_time is not None:
            found.append(self._run.execution.expire_time)
        dues = (due_time(place) for place in self._run.standing.in_phase(*TIMED))
        return [*found, *(due for due in dues if due is not None)]

    def _happen(self) -> None:
        """Record what happens now: one thing at a time."""
        run, now = self._run, self._now
        expire = run.execution.expire_time
        if expire is not None and expire <= now:
            self._record(ExecutionTimedOut(timeout=expire - self._start))
        elif self._coming and self._coming[0].time <= now:
            self._end_attempt(heapq.heappop(self._coming))
        elif self._messages and self._start + self._messages[-1].after <= now:
            self._record(*self._messages.pop().signal.decide(run))
        else:
            for place in list(run.standing.in_phase(*TIMED)):
                due = due_time(place)
                if due is not None and due <= now:
                    self._record(*when_due(run, place, now, self._failed))
                    return

    def _begin(self, place: Place) -> None:
        """Begin an attempt, and note when it ends."""
        planned = place.planned
        waits = place.waiting.waits if place.phase is Phase.WAITING and place.waiting else Waits.NOTHING
        attempts = place.phase is Phase.SCHEDULED and planned is not None and planned.step.does is None
        key = (place.path, place.attempt)
        if not (attempts or waits in _AGAINST) or key in self._begun:
            return
        result = self._result_of(place)
        if result is None:
            if waits is Waits.NOTHING:
                self._missing.append(place.path)
            return  # an approval or a child without a result may still run out of time
        self._begun.add(key)
        self._number += 1
        coming = _Coming(self._now + result.takes, self._number, place, place.path, place.attempt, result)
        heapq.heappush(self._coming, coming)

    def _result_of(self, place: Place) -> AttemptResult | None:
        step_id = id_of(place.path)
        own = f"{UNDO}/{step_id}" if place.scope == UNDO else step_id
        given = self._results.get(place.path) or self._results.get(own)
        return given[min(place.attempt, len(given)) - 1] if given else None

    def _end_attempt(self, coming: _Coming) -> None:
        place = coming.place
        current = place.path == coming.path and place.attempt == coming.attempt
        if not current or place.phase not in {Phase.SCHEDULED, Phase.WAITING}:
            return  # it was stopped
        self._record(*self._outcome(place, coming.result))

    def _outcome(self, place: Place, result: AttemptResult) -> Sequence[EventBody]:
        try:
            self._check_input(place)
            if result.failure is not None:
                return self._failed(place, result.failure)
            output = loads(result.output or b"{}")
            if place.waiting is not None and place.waiting.asked is not None:
                output = self._decision(place.path, place.waiting.asked, output)
            self._check_output(place, output)
            undo = self._action(place.planned.step).undo if place.planned else ""
            text = dumps(output, "output")
            return (completed(self._run, place, text, value=output, compensation=undo),)
        except WeftError as error:
            return self._failed(place, Failure.of(error))

    def _decision(self, path: str, asked: Asked, given: JsonObject) -> JsonObject:
        """Fill in what a decision has beside its outcome."""
        outcome = given.get("outcome", asked.outcomes[0])
        if outcome not in asked.outcomes:
            known = ", ".join(asked.outcomes)
            text = f"the result given for {path} decides {outcome!r}, which is none of {known}"
            raise ValidationError([Violation("outcome", text, Rule.INVALID)])
        plain = {"comment": "", "by": "", "time": self._now.isoformat(), "data": {}}
        return {**plain, **given, "outcome": outcome}

    def _action(self, step: Step) -> KnownAction:
        return self._actions.get((step.service, step.action), _ANY)

    def _check_input(self, place: Place) -> None:
        planned = place.planned
        if planned is None or planned.step.does is not None:
            return
        takes = self._action(planned.step).takes
        violations = takes.violations(action_input(self._run, place, planned, takes), "input")
        if violations:
            raise ValidationError(violations)

    def _check_output(self, place: Place, output: JsonObject) -> None:
        planned = place.planned
        if planned is None or planned.step.does is not None:
            return
        violations = self._action(planned.step).gives.violations(output, "output")
        if violations:
            raise PreconditionError(
                f"the result given for {place.path} does not fit the action's schema: {violations[0]}",
                reason=Reason.ACTION_OUTPUT_INVALID,
                violations=violations,
            )

    def _failed(self, place: Place, failure: Failure) -> Sequence[EventBody]:
        planned = place.planned
        if planned is None or place.phase is Phase.WAITING:
            return (failed(place, failure),)
        return after_failure(planned.step, place, failure, self._now, lambda: 0.0) or (
            failed(place, failure),
        )

    def _record(self, *bodies: EventBody) -> None:
        run = self._run
        recording = Recording(run, self._now)
        recording.add(*bodies)
        if run.standing.final is None:
            settle(run, recording)
        if recording.events:
            self._events += recording.events
            waits, due = rest(run.standing, run.in_flight)
            run.stored(summarize(run.execution, run.standing, recording.events[-1], waits, due), recording)


_ANY: Final = KnownAction(schema_of(None), schema_of(None))
_STANDS: Final = (Phase.WAITING, Phase.INCIDENT, Phase.ACCEPTED)
