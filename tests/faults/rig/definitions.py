"""Workflows with more than calls one after another.

Ids of steps say what the steps are: those of ``STEP_KINDS`` call no action, those of ``UNDONE`` have
something that undoes them, those of ``CACHED``, ``TOGETHER`` and ``PACED`` are spared. Checkers rely on that.
"""

from __future__ import annotations

from typing import Any, Final

from tests.faults.rig.evidence import CACHED, PACED, PAUSE, TOGETHER
from tests.faults.rig.steps import INPUT, work

__all__ = ["AT_THE_END", "DEFINITIONS", "SIGNAL"]

SIGNAL: Final = "paid"
"""Name of the messages."""
_AT_ONCE: Final = 3


def _then(step: dict[str, Any], following: str) -> dict[str, Any]:
    return {**step, "next": following}


def _prior(step: str) -> dict[str, str]:
    return {"n": f"${{steps.{step}.n}}", "prior": f"${{steps.{step}.mark}}"}


def _undone(step: dict[str, Any]) -> dict[str, Any]:
    """Add what undoes a step: it is given the mark that the step gave."""
    given = {"token": "${input.token}", "prior": "${output.mark}"}
    retry = {name: value for name, value in step["retry"].items() if name != "on_exhausted"}
    return {**step, "compensate": {"action": "work", "input": given, "retry": retry}}


_EACH: Final = {
    "id": "each",
    "map": {
        "items": "${input.items}",
        "max_concurrency": _AT_ONCE,
        "steps": [
            work("one", n="${item.n}", seconds="${item.seconds}", next="two"),
            work("two", **_prior("one")),
        ],
    },
}
_BOTH: Final = {
    "id": "both",
    "parallel": {
        "branches": [
            {"name": "left", "steps": [work("l0")]},
            {"name": "right", "steps": [work("r0", next="r1"), work("r1", **_prior("r0"))]},
        ]
    },
}
_PAID: Final = {"signal": {"name": SIGNAL, "correlation": "${input.token}"}}
_CHILD: Final = {"id": "sub", "workflow": {"name": "chain-3"}, "input": INPUT}
_BOOK: Final = {
    "id": "both",
    "parallel": {
        "branches": [
            {"name": "left", "steps": [_undone(work("u1"))]},
            {
                "name": "right",
                "steps": [_undone(work("u2", next="u3")), _undone(work("u3", **_prior("u2")))],
            },
        ]
    },
}
_REFUSED: Final = work("u4", failures=1_000_000)

# ---- the end: what is undone, children that are not needed any more, and ``finally``

_NEVER: Final = {"id": "never", "signal": {"name": "never"}}
"""Waits for what nobody sends: only a cancellation ends it."""


def _child(step: str, name: str) -> dict[str, Any]:
    return {"id": step, "workflow": {"name": name}, "input": INPUT}


_KIN: Final = {"id": "kin", "map": {"items": "${[input, input]}", "workflow": {"name": "clan-leaf"}}}
_WAY_OUT: Final = {
    "id": "way",
    "switch": {"cases": [{"when": 'input.ends == "badly"', "next": "u4"}], "default": "s1"},
}
_OF_THE_END: Final[dict[str, list[dict[str, Any]]]] = {
    "clan-leaf": [work("s0", next="s1"), work("s1", **_prior("s0"), next="never"), _NEVER],
    "regret-grandchild": [_undone(work("u0"))],
    "clan-middle": [
        work("s0", next="kin"),
        _KIN,
    ],
    "regret-child": [
        _undone(work("u0", next="sub")),
        _then(_child("sub", "regret-grandchild"), "u1"),
        _undone(work("u1", **_prior("u0"))),
    ],
    "clan": [_undone(work("u0", next="sub")), _child("sub", "clan-middle")],
    "regret": [
        _undone(work("u0", next="sub")),
        _then(_child("sub", "regret-child"), "u1"),
        _undone(work("u1", **_prior("u0"), next="never")),
        _NEVER,
    ],
    "tidy": [
        _undone(work("u0", next="way")),
        _WAY_OUT,
        work("s1", **_prior("u0")),
        _undone({**_REFUSED, "retry": {**_REFUSED["retry"], "non_retryable_reasons": ["NOT_YET"]}}),
    ],
}
AT_THE_END: Final[dict[str, list[dict[str, Any]]]] = {
    "tidy": [work("f0", next="f1"), work("f1", **_prior("f0"), failures=1)],
}
"""What workflows do at the end, however that is."""

# ---- people, loops, and steps that are spared

_ASK: Final = {"id": "ask", "approval": {"title": "Go on?", "outcomes": ["grant", "deny"]}}
_AGAIN: Final = {
    "id": "again",
    "loop": {
        "until": "steps.r0.n >= input.rounds",
        "max_iterations": 20,
        "steps": [
            work("r0", n="${iteration}", prior='${has(steps.r1) ? steps.r1.mark : ""}', next="r1"),
            work("r1", **_prior("r0"), next="tally"),
            {"id": "tally", "set": {"count": "${vars.count + 1}", "mark": "${steps.r1.mark}"}},
        ],
    },
}
_OWN: Final = "${input.currency}"
_SPREAD: Final = {
    "id": "spread",
    "map": {
        "items": "${input.items}",
        "steps": [
            {
                **work("paced", n="${item.n}", next="narrow"),
                "limit": {"rate": PACED["paced"][0], "per": PACED["paced"][1]},
            },
            {
                **work("narrow", **_prior("paced"), seconds="${item.seconds}"),
                "limit": {"concurrency": TOGETHER["narrow"]},
            },
        ],
    },
}
_OF_PEOPLE_AND_TURNS: Final[dict[str, list[dict[str, Any]]]] = {
    "ask": [
        work("s0", next="ask"),
        _then(_ASK, "way"),
        {
            "id": "way",
            "switch": {"cases": [{"when": 'steps.ask.outcome == "grant"', "next": "s1"}], "default": "s2"},
        },
        work("s1", **_prior("s0")),
        work("s2", **_prior("s0")),
    ],
    "rounds": [
        {"id": "zero", "set": {"count": 0, "mark": ""}, "next": "again"},
        _then(_AGAIN, "s1"),
        work("s1", n="${vars.count}", prior="${vars.mark}"),
    ],
    "sparing": [
        {
            **work("rate", key=_OWN, next="fresh"),
            "cache": {"ttl": CACHED["rate"], "key": _OWN},
            "limit": {"concurrency": TOGETHER["rate"], "key": _OWN},
        },
        {**work("fresh", key=_OWN, next="spread"), "cache": {"ttl": CACHED["fresh"], "key": _OWN}},
        _SPREAD,
    ],
}

DEFINITIONS: Final[dict[str, list[dict[str, Any]]]] = {
    **_OF_THE_END,
    **_OF_PEOPLE_AND_TURNS,
    "bodies": [_then(_EACH, "both"), _BOTH],
    "letter": [
        work("s0", next="paid"),
        {"id": "paid", **_PAID, "next": "paid-again"},
        {"id": "paid-again", **_PAID, "next": "s1"},
        work("s1", **_prior("s0")),
    ],
    "family": [work("s0", next="sub"), _then(_CHILD, "s1"), work("s1", **_prior("s0"))],
    "saga": [
        _undone(work("u0", next="both")),
        _then(_BOOK, "u4"),
        _undone({**_REFUSED, "retry": {**_REFUSED["retry"], "non_retryable_reasons": ["NOT_YET"]}}),
    ],
    "rest": [
        work("s0", next="pause"),
        {"id": "pause", "wait": {"duration": f"{PAUSE}s"}, "next": "s1"},
        work("s1", **_prior("s0")),
    ],
}
"""By name. Another one stands between a child and its parent: some planted bugs acknowledge what is not
stored yet. The last step of the saga fails on purpose, at once."""
