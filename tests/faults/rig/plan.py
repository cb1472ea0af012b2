"""A seed, expanded to everything that a run will do, before it begins."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

LANGUAGE: Final = {
    "bodies": 2,
    "letter": 2,
    "family": 2,
    "saga": 2,
    "rest": 1,
    "clan": 2,
    "regret": 2,
    "tidy": 2,
    "ask": 2,
    "rounds": 1,
    "sparing": 2,
}
"""Sessions with more than calls one after another, and how often each is drawn."""

WEIGHTS: Final = {
    "watch": 4,
    "execute": 4,
    "poll": 4,
    "cancel": 2,
    "timeout": 1,
    "repeat": 2,
    "flaky": 2,
    **LANGUAGE,
}
"""How often each is drawn."""


_OWN_WORKFLOWS: Final = {"timeout": "slow", "flaky": "flaky", **{kind: kind for kind in LANGUAGE}}
"""Sessions that need a workflow of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One caller's business with one execution."""

    number: int
    kind: str
    workflow: str
    seconds: float
    """How long each step takes."""
    delay: float
    """When to cancel, or how often to poll."""
    timeout: float | None = None
    again: bool = False
    """Whether to repeat the start at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFault:
    """A fault, and when."""

    kind: str
    at: float
    """After which part of the sessions."""
    delay: float
    """How many seconds after that."""
    lasts: float
    """How many seconds, where it lasts."""
    choice: int
    """Which of the processes that it may hit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run will do."""

    seed: int
    sessions: tuple[Session, ...]
    faults: tuple[PlannedFault, ...]
    concurrency: int = 12
    workers: int = 2
    patience: float = 60.0
    calm: float = 0.5
    """How many seconds without a fault follow each."""
    ahead: float = 0.05
    """Which part of the sessions may run ahead of a fault that is late."""
    stall: float = 75.0
    """For how many seconds the number of open executions may stand still before the drain is given up.

    A parent whose child ended as its server died looks for itself once a minute.
    """

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a plan is made of."""

    sessions: int = 60
    faults: Mapping[str, int] = field(default_factory=dict)
    """How many of each kind."""
    weights: Mapping[str, int] = field(default_factory=lambda: WEIGHTS)
    workflows: tuple[str, ...] = ("chain-3", "chain-5")
    seconds: tuple[float, float] = (0.002, 0.05)
    """How long steps take."""
    concurrency: int = 12
    workers: int = 2
    patience: float = 60.0
    calm: float = 0.5
    ahead: float = 0.05
    stall: float = 75.0
    last: float = 0.85
    """After which part of the sessions no fault begins any more, so that each has something to disturb."""
    again: float = 0.3
    """Which part of the sessions repeats its start at the end."""


def expand(seed: int, wanted: Wanted) -> Plan:
    """Draw everything from one seed; the faults first, so that they stay when there are other sessions."""
    chance = random.Random(seed)
    faults = _faults(chance, wanted)
    return Plan(
        seed=seed,
        sessions=tuple(_session(number, chance, wanted) for number in range(wanted.sessions)),
        faults=faults,
        concurrency=wanted.concurrency,
        workers=wanted.workers,
        patience=wanted.patience,
        calm=wanted.calm,
        ahead=wanted.ahead,
        stall=wanted.stall,
    )


def _faults(chance: random.Random, wanted: Wanted) -> tuple[PlannedFault, ...]:
    kinds = [kind for kind, count in sorted(wanted.faults.items()) for _ in range(count)]
    chance.shuffle(kinds)
    times = sorted(chance.uniform(0.02, wanted.last) for _ in kinds)
    return tuple(
        PlannedFault(
            kind=kind,
            at=round(at, 4),
            delay=round(chance.uniform(0, 0.2), 4),
            lasts=round(chance.uniform(0.2, 1.0), 3),
            choice=chance.randrange(1_000),
        )
        for kind, at in zip(kinds, times, strict=True)
    )


def _session(number: int, chance: random.Random, wanted: Wanted) -> Session:
    (kind,) = chance.choices(list(wanted.weights), list(wanted.weights.values()))
    slow = kind == "timeout"
    return Session(
        number=number,
        kind=kind,
        workflow=_OWN_WORKFLOWS.get(kind) or chance.choice(wanted.workflows),
        seconds=round(chance.uniform(*wanted.seconds), 4),
        delay=round(chance.uniform(0.0, 0.3), 4),
        timeout=round(chance.uniform(0.2, 0.8), 3) if slow else None,
        again=chance.random() < wanted.again,
    )
