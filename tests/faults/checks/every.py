"""Every invariant as a pure function of the evidence; see docs/reliability.md for what each promises."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.faults.checks import closings, decisions, ends, families, histories, messages, shares, steps
from tests.faults.rig.evidence import Evidence, Violation

Checker = Callable[[Evidence], Iterator[Violation]]

CHECKERS: dict[str, Checker] = {
    check.__name__: check
    for check in (
        histories.accepted_ends,
        histories.final_state_stays,
        histories.history_grows,
        histories.starts_are_idempotent,
        steps.one_result_for_each_step,
        steps.records_are_what_bodies_returned,
        steps.bodies_are_of_stored,
        steps.keys_name_steps,
        steps.attempts_count_up,
        steps.retries_wait,
        steps.stale_writes_are_refused,
        ends.cancelled_is_final,
        ends.late_cancellations_change_nothing,
        ends.only_the_cancelled_are_cancelled,
        ends.timers_are_not_early,
        ends.timers_are_not_missed,
        ends.waiters_are_told,
        ends.answers_say_why,
        ends.store_is_sound,
        messages.messages_are_not_lost,
        messages.messages_are_taken_once,
        messages.waits_are_not_early,
        families.children_are_recorded,
        families.children_reach_their_parents,
        families.children_end_with_their_parents,
        families.undone_in_reverse,
        families.bodies_are_whole,
        closings.finally_runs_once,
        decisions.decisions_count_once,
        decisions.loops_go_in_order,
        shares.limits_are_kept,
        shares.what_is_kept_is_not_done_again,
    )
}


def judge(evidence: Evidence) -> dict[str, list[Violation]]:
    """Ask every checker; return those that found something, by name."""
    found = {name: list(check(evidence)) for name, check in CHECKERS.items()}
    return {name: violations for name, violations in found.items() if violations}
