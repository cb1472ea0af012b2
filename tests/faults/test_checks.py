"""Every checker passes good histories and catches bad ones: a rig that cannot fail proves nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.faults.checks.every import CHECKERS, judge
from tests.faults.closing_histories import BAD_ENDS, GOOD_ENDS
from tests.faults.histories import (
    BODIES,
    FULL,
    GOOD,
    ID,
    TOKEN,
    body,
    cancellation,
    ending_with,
    event,
    operation,
    reading,
    start,
    stored,
    with_bodies,
    with_operations,
    with_stored,
    without,
)
from tests.faults.language_histories import BAD_RUNS, GOOD_RUNS
from tests.faults.rig.evidence import Evidence
from tests.faults.rig.record import Outcome, Window

OTHER = "exe_2"

CANCELLED = replace(
    GOOD,
    operations=(start(), reading(2, 2.5), cancellation(6.5, state="CANCELLED", id=ID)),
    stored={ID: stored(ending_with("execution_cancelled"), state="CANCELLED", result=None)},
    bodies=BODIES[:2],
)
HELD_UP = replace(
    CANCELLED,
    bodies=(BODIES[0], body("b", 1, 8.0, given={"prior": "m1"})),
    windows=(Window(fault="stop-at-reply.before", began=4.0, ended=9.0),),
    wall=1_767_225_600.0,
)
TIMED_OUT = stored(ending_with("execution_timed_out", 8.0), state="TIMED_OUT", result=None, timeout=7.0)
TIMED_OUT_TWICE = replace(TIMED_OUT, events=(*TIMED_OUT.events, event(7, "execution_timed_out")))
OTHER_OUTPUT = event(3, "step_completed", step_id="a", attempt=1, output={"mark": "other"})
CHANGED = (*FULL[:2], OTHER_OUTPUT, *FULL[3:])
RETRIED = (
    *FULL[:2],
    event(3, "step_retry_scheduled", step_id="a", attempt=1, retry_time="2026-01-01T00:00:05+00:00"),
    event(4, "step_scheduled", 5.5, step_id="a", attempt=2),
)
FORGOTTEN = operation("watch", 1.0, 30.0, Outcome.UNKNOWN, request={"id": ID}, answer={"stuck": True})
REFUSED = cancellation(8.5, Outcome.FAIL, reason="EXECUTION_ENDED")
DEFECT = operation("get", 9.5, 9.6, Outcome.UNKNOWN, request={"id": ID}, answer={"reason": "INTERNAL"})
FULL_STORE = operation(
    "start",
    3.0,
    3.1,
    Outcome.FAIL,
    request={"request_id": TOKEN, "other_input": True},
    answer={"reason": "STORE_FULL"},
)
WRITE = {"server": "server-0", "write": "step_completed", "accepted": True}


def told(**answer: object) -> Evidence:
    got = operation("execute", 9.5, 9.6, request={"request_id": TOKEN}, answer={"id": ID, **answer})
    return with_operations(got)


def one(checker: str, evidence: Evidence, what: str) -> tuple[str, str, Evidence]:
    return what, checker, evidence


BAD = (
    one("accepted_ends", replace(GOOD, stored={}), "lost"),
    one("accepted_ends", with_stored(FULL[:6], state="RUNNING"), "still open"),
    one("accepted_ends", with_stored(token="unknown"), "started by nobody"),
    one("accepted_ends", with_stored((*FULL, event(8, "execution_failed"))), "ended twice"),
    one(
        "accepted_ends",
        with_stored((*FULL, event(8, "step_scheduled", step_id="c", attempt=1))),
        "went on after its end",
    ),
    one("accepted_ends", with_stored(state="FAILED"), "the state says otherwise than the history"),
    one("final_state_stays", told(state="FAILED"), "another final state"),
    one("final_state_stays", told(result={"mark": "m2"}), "another result"),
    one("history_grows", with_stored(without(4)), "a gap"),
    one("history_grows", with_stored(last_event=9), "a wrong count"),
    one("history_grows", with_operations(reading(7, 8.0, CHANGED)), "a changed event"),
    one(
        "history_grows",
        with_operations(reading(1, 8.0, (event(1, "execution_started", 1.5),))),
        "a changed time",
    ),
    one(
        "history_grows",
        replace(with_stored(FULL[:5]), operations=(start(), reading(6, 8.0))),
        "a vanished event",
    ),
    one("starts_are_idempotent", with_operations(start(3.0, OTHER)), "two executions for one request"),
    one(
        "starts_are_idempotent",
        replace(GOOD, stored={ID: stored(), OTHER: stored(id=OTHER)}),
        "a second one that nobody was told of",
    ),
    one("starts_are_idempotent", with_operations(start(3.0, other_input=True)), "another input accepted"),
    one("one_result_for_each_step", with_stored((*FULL[:3], OTHER_OUTPUT)), "completed twice"),
    one(
        "one_result_for_each_step",
        with_stored((*FULL[:3], event(4, "step_scheduled", step_id="a", attempt=2))),
        "scheduled after its completion",
    ),
    one("records_are_what_bodies_returned", with_bodies(*BODIES[1:]), "an output that nobody returned"),
    one(
        "records_are_what_bodies_returned",
        with_bodies(BODIES[0], body("b", 1, 4.0, "m3"), body("b", 2, 5.0)),
        "an output of another attempt",
    ),
    one(
        "records_are_what_bodies_returned",
        with_bodies(*BODIES, body("b", 3, 6.0, given={"prior": "m0"})),
        "given what is not recorded",
    ),
    one(
        "bodies_are_of_stored",
        with_bodies(*BODIES, body("a", 1, 2.0, execution=OTHER)),
        "a body of something that is not stored",
    ),
    one("keys_name_steps", with_bodies(*BODIES[:2], body("b", 2, 5.0, "m3", key="x")), "another key"),
    one("keys_name_steps", with_bodies(*BODIES, body("c", 1, 2.0, key=f"{ID}/b")), "a shared key"),
    one("attempts_count_up", with_bodies(*BODIES, body("b", 2, 5.1)), "an attempt run twice"),
    one("attempts_count_up", with_stored(without(4)), "an attempt left out"),
    one(
        "attempts_count_up",
        replace(with_stored((*RETRIED, event(5, "step_failed", step_id="a", attempt=2))), max_attempts=1),
        "more attempts than allowed",
    ),
    one(
        "retries_wait",
        with_stored((*RETRIED[:3], event(4, "step_scheduled", 4.9, step_id="a", attempt=2))),
        "tried again too early",
    ),
    one(
        "retries_wait",
        replace(with_stored(RETRIED), backoff=4.0),
        "put off for too short a time",
    ),
    one(
        "retries_wait",
        replace(with_bodies(body("a", 1, 2.0, "m", failed=True), body("a", 2, 3.0)), backoff=1.0),
        "tried again at once",
    ),
    one("stale_writes_are_refused", replace(GOOD, fences=(WRITE,)), "a stale write"),
    one("cancelled_is_final", with_operations(cancellation(3.0)), "completed although cancelled"),
    one(
        "cancelled_is_final",
        replace(CANCELLED, bodies=(*CANCELLED.bodies, body("c", 1, 8.0))),
        "a body long after the cancellation",
    ),
    one("cancelled_is_final", replace(HELD_UP, windows=()), "a call long after the cancellation"),
    one(
        "late_cancellations_change_nothing",
        replace(CANCELLED, operations=(start(), REFUSED)),
        "cancelled after its end",
    ),
    one("only_the_cancelled_are_cancelled", replace(CANCELLED, operations=(start(),)), "cancelled by nobody"),
    one(
        "timers_are_not_early", replace(GOOD, stored={ID: replace(TIMED_OUT, timeout=7.5)}), "timed out early"
    ),
    one(
        "timers_are_not_early",
        replace(GOOD, stored={ID: replace(TIMED_OUT, timeout=None)}),
        "timed out without a timeout",
    ),
    one("timers_are_not_early", replace(GOOD, stored={ID: TIMED_OUT_TWICE}), "timed out twice"),
    one("timers_are_not_missed", with_stored(timeout=1.5), "a timer missed"),
    one("waiters_are_told", with_operations(FORGOTTEN), "a waiter forgotten"),
    one("answers_say_why", with_operations(DEFECT), "a caller who is told of a defect"),
    one("store_is_sound", replace(GOOD, store_faults=("integrity_check: no",)), "a broken store"),
    one("store_is_sound", replace(GOOD, log_faults=("Traceback",)), "a defect logged"),
    *BAD_RUNS,
    *BAD_ENDS,
)


@pytest.mark.parametrize(
    "evidence",
    [
        pytest.param(GOOD, id="completed"),
        pytest.param(CANCELLED, id="cancelled"),
        pytest.param(HELD_UP, id="a call that a server sent as it was stopped"),
        pytest.param(with_operations(REFUSED), id="cancelled too late"),
        pytest.param(with_operations(FULL_STORE), id="no room"),
        pytest.param(
            with_operations(FORGOTTEN, windows=(Window(fault="pause-server", began=20.0, ended=29.0),)),
            id="a watch of a server that stands still",
        ),
        pytest.param(
            replace(GOOD, operations=(start(),), stored={ID: TIMED_OUT}, bodies=BODIES), id="timed out"
        ),
        pytest.param(Evidence(), id="nothing"),
        *(pytest.param(run, id=what) for what, run in {**GOOD_RUNS, **GOOD_ENDS}.items()),
    ],
)
def test_good_histories_pass(evidence: Evidence) -> None:
    """No checker invents a violation."""
    assert judge(evidence) == {}


@pytest.mark.parametrize(("what", "checker", "evidence"), BAD, ids=[what for what, _, _ in BAD])
def test_bad_histories_are_caught(what: str, checker: str, evidence: Evidence) -> None:
    """By the checker whose business it is."""
    assert list(CHECKERS[checker](evidence)), what


def test_every_checker_has_a_bad_history() -> None:
    """None is there that was never seen to catch anything."""
    assert {checker for _, checker, _ in BAD} == CHECKERS.keys()


def test_retries_that_wait_pass() -> None:
    """W12: at its time or later is right, and the attempt number goes up."""
    evidence = with_stored(RETRIED, state="RUNNING")
    assert list(CHECKERS["retries_wait"](evidence)) == []
    assert list(CHECKERS["attempts_count_up"](replace(evidence, bodies=()))) == []
