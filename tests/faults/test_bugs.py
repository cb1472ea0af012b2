"""The rig is honest: each planted bug is caught, by the checker whose business it is."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from tests.faults.bugs import seams
from tests.faults.rig.plan import Wanted, expand
from tests.faults.rig.run import run
from tests.faults.rig.stores import SqliteStoreAdapter

pytestmark = pytest.mark.integration

SEED = 20_261_202


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A bug, what exposes it, and who must say so."""

    caught_by: str
    """Names of checkers, of which one must."""
    faults: Mapping[str, int] = field(default_factory=dict)
    sessions: Mapping[str, int] = field(default_factory=lambda: {"watch": 3, "execute": 2, "poll": 1})
    """Weights of their kinds."""
    seconds: tuple[float, float] = (0.0, 0.02)
    count: int = 30
    """How many sessions."""


_LOSES = "accepted_ends history_grows records_are_what_bodies_returned"
"""What was acknowledged is gone: an execution, something that was read, or what a next step was given."""

_REPEAT = {"repeat": 1, "watch": 1}
_CANCEL = {"cancel": 2, "watch": 1}
_ONE_KILL = {"kill-server": 1}
_LONG = (0.05, 0.15)

BUGS: dict[str, Planted] = {
    "ack_before_commit": Planted(
        caught_by=_LOSES, faults={"kill-at-commit.before": 3}, sessions={"watch": 1}
    ),
    "start_not_awaited": Planted(
        caught_by=_LOSES, faults={"kill-at-commit.before": 3}, sessions={"watch": 1}
    ),
    "run_before_recorded": Planted(caught_by="bodies_are_of_stored", faults={"kill-at-dispatch.after": 2}),
    "cancel_answered_early": Planted(caught_by="cancelled_is_final", sessions=_CANCEL, seconds=_LONG),
    "double_timer": Planted(caught_by="timers_are_not_early", sessions={"timeout": 1, "watch": 1}),
    "early_timer": Planted(caught_by="timers_are_not_early", sessions={"timeout": 1, "watch": 1}),
    "attempt_reused": Planted(caught_by="attempts_count_up", faults=_ONE_KILL, seconds=_LONG),
    "completion_twice": Planted(caught_by="one_result_for_each_step"),
    "lost_wakeup": Planted(caught_by="waiters_are_told", sessions={"watch": 1, "poll": 1}, count=12),
    "key_forgotten": Planted(
        caught_by="starts_are_idempotent", faults={"kill-server": 2}, sessions=_REPEAT, seconds=_LONG
    ),
    "key_ignored": Planted(caught_by="starts_are_idempotent", sessions=_REPEAT),
    "other_input_accepted": Planted(caught_by="starts_are_idempotent", sessions=_REPEAT),
    "history_rewritten": Planted(caught_by="history_grows", faults=_ONE_KILL),
    "history_truncated": Planted(
        caught_by="history_grows one_result_for_each_step attempts_count_up",
        faults=_ONE_KILL,
        sessions={"poll": 1},
        seconds=_LONG,
    ),
    "end_overwritten": Planted(
        caught_by="final_state_stays", faults=_ONE_KILL, sessions=_CANCEL, seconds=_LONG
    ),
    "number_skipped": Planted(caught_by="history_grows", count=6),
    "execution_forgotten": Planted(
        caught_by="accepted_ends", faults=_ONE_KILL, sessions={"poll": 1}, seconds=_LONG
    ),
    "key_for_each_attempt": Planted(caught_by="keys_name_steps", faults=_ONE_KILL, seconds=_LONG),
    "outputs_mixed_up": Planted(caught_by="records_are_what_bodies_returned"),
    "retry_without_backoff": Planted(caught_by="retries_wait", sessions={"flaky": 1, "watch": 1}),
    "dispatched_twice": Planted(caught_by="attempts_count_up"),
    "message_taken_twice": Planted(caught_by="messages_are_taken_once", sessions={"letter": 1}, count=12),
    "message_too_early": Planted(caught_by="messages_are_not_lost", sessions={"letter": 1}, count=12),
    "early_wait": Planted(caught_by="waits_are_not_early", sessions={"rest": 1}, count=12),
    "child_of_another_id": Planted(caught_by="children_are_recorded", sessions={"family": 1}, count=4),
    "child_not_awaited": Planted(
        caught_by="children_reach_their_parents", sessions={"family": 1}, count=12, seconds=_LONG
    ),
    "undone_oldest_first": Planted(caught_by="undone_in_reverse", sessions={"saga": 1}, count=12),
    "undo_left_out": Planted(caught_by="undone_in_reverse", sessions={"saga": 1}, count=12),
    "orphans_forgotten": Planted(
        caught_by="children_end_with_their_parents", sessions={"clan": 1}, count=8, seconds=_LONG
    ),
    "undo_of_child_skipped": Planted(
        caught_by="children_reach_their_parents", sessions={"regret": 1}, count=16
    ),
    "cancelled_not_undone": Planted(caught_by="undone_in_reverse", sessions={"regret": 1}, count=12),
    "finally_left_out": Planted(caught_by="finally_runs_once", sessions={"tidy": 1}, count=6),
    "second_decision_accepted": Planted(caught_by="decisions_count_once", sessions={"ask": 1}, count=4),
    "iteration_forgets": Planted(caught_by="loops_go_in_order", sessions={"rounds": 1}, count=8),
    "limit_ignored": Planted(caught_by="limits_are_kept", sessions={"sparing": 1}, count=8),
    "rate_ignored": Planted(caught_by="limits_are_kept", sessions={"sparing": 1}, count=12),
    "kept_output_not_found": Planted(
        caught_by="what_is_kept_is_not_done_again", sessions={"sparing": 1}, count=16
    ),
    "kept_output_of_another_key": Planted(
        caught_by="what_is_kept_is_not_done_again", sessions={"sparing": 1}, count=12
    ),
    "items_as_they_end": Planted(caught_by="bodies_are_whole", sessions={"bodies": 1}, count=12),
}


FAST = frozenset(
    {
        *("cancel_answered_early", "double_timer", "early_timer", "completion_twice", "key_ignored"),
        *("outputs_mixed_up", "dispatched_twice", "other_input_accepted", "child_not_awaited"),
        "retry_without_backoff",
        *("history_rewritten", "end_overwritten", "key_forgotten"),
        *("message_taken_twice", "undone_oldest_first", "items_as_they_end"),
        *("finally_left_out", "second_decision_accepted"),
    }
)
"""What ``make test`` has time for; ``make faults`` runs all."""


def _case(bug: str) -> ParameterSet:
    return pytest.param(bug, marks=[] if bug in FAST else [pytest.mark.long])


def test_every_bug_has_a_place() -> None:
    """Also those that only the long run tries: what they change is where they look for it."""
    bugs = sorted(path.stem for path in Path(seams.__file__).parent.glob("*.py") if path.stem != "seams")
    assert set(bugs) >= BUGS.keys()
    plant = (
        "import sys; from importlib import import_module as load\nfor bug in sys.argv[1:]: load(bug).plant()"
    )
    modules = [f"tests.faults.bugs.{bug}" for bug in bugs]
    subprocess.run([sys.executable, "-c", plant, *modules], check=True, timeout=60)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("bug", [_case(bug) for bug in sorted(BUGS)])
async def test_a_planted_bug_is_caught(bug: str, tmp_path: Path) -> None:
    """Each one, by name: what the rig does not see in a bad server, it does not vouch for in a good one."""
    planted = BUGS[bug]
    wanted = Wanted(
        sessions=planted.count,
        faults=planted.faults,
        weights=planted.sessions,
        workflows=("chain-3",),
        seconds=planted.seconds,
        workers=1,
        patience=8,
        ahead=1.0,
        stall=3,
        last=0.4,
        again=1.0,
    )
    report = await run(expand(SEED, wanted), SqliteStoreAdapter(tmp_path / "data"), tmp_path / "run", bug)
    assert report.violations.keys() & set(planted.caught_by.split()), report.problems
