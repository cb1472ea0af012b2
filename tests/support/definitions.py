"""Any definition of the language, as hypothesis makes them: well formed, but not checked as a whole."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from weft.server.workflow import kinds
from weft.server.workflow.model import (
    Cache,
    Compensation,
    Concurrency,
    Definition,
    ErrorHandler,
    ErrorKind,
    Exhausted,
    OnConflict,
    RetryPolicy,
    Step,
    StepDefaults,
    StepLimit,
)

__all__ = ["definitions", "step_kinds", "steps"]

WORDS = st.sampled_from(("a", "b", "order", "ship-it", "größe", "${input.n}"))
NAMES = st.sampled_from(("", "a", "b", "order", "ship-it"))
SOME = st.sampled_from(("a", "b", "order", "ship-it"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-9, 9) | WORDS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=2),
    max_leaves=4,
)
OBJECTS = st.dictionaries(WORDS, VALUES, max_size=2)
MAYBE = st.none() | OBJECTS


def spans(least: timedelta, most: timedelta) -> st.SearchStrategy[timedelta]:
    """Durations within bounds."""
    return st.timedeltas(least, most)


MILLI = timedelta(milliseconds=1)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
YEAR = timedelta(days=365)

RETRIES = st.none() | st.builds(
    RetryPolicy,
    max_attempts=st.integers(0, 1_000_000),
    initial_backoff=spans(MILLI, DAY),
    multiplier=st.floats(1, 10),
    max_backoff=spans(MILLI, DAY),
    jitter=st.floats(0, 1),
    non_retryable=st.tuples(SOME) | st.just(()),
    exhausted=st.sampled_from(Exhausted),
)
STEP_TIMES = st.none() | spans(timedelta(milliseconds=100), DAY)
HANDLERS = st.builds(
    ErrorHandler, reasons=st.tuples(SOME) | st.just(()), kind=st.sampled_from(ErrorKind), next=NAMES
)
COMPENSATIONS = st.builds(
    Compensation, service=NAMES, action=SOME, input=MAYBE, retry=RETRIES, timeout=STEP_TIMES
)
CACHES = st.builds(Cache, key=NAMES, ttl=spans(SECOND, timedelta(days=30)))
LIMITS = st.builds(
    StepLimit,
    key=NAMES,
    concurrency=st.integers(0, 10_000),
    rate=st.integers(0, 1_000_000),
    per=spans(MILLI, timedelta(hours=1)),
)
CHILDREN = st.builds(kinds.Child, name=SOME, version=st.integers(0, 9), alias=NAMES, abandon=st.booleans())


def step_kinds(bodies: st.SearchStrategy[tuple[Step, ...]]) -> st.SearchStrategy[kinds.Kind]:
    """What a step can be, given what can be inside of it."""
    branches = st.builds(kinds.Branch, name=SOME, steps=bodies)
    return st.one_of(
        st.builds(
            kinds.Switch,
            cases=st.tuples(st.builds(kinds.Case, when=WORDS, next=NAMES)),
            default=NAMES,
        ),
        st.builds(
            kinds.Parallel,
            branches=st.tuples(branches) | st.tuples(branches, branches),
            join=st.integers(0, 2),
            collect_errors=st.booleans(),
        ),
        st.builds(
            kinds.Map,
            items=VALUES,
            steps=bodies,
            workflow=st.none() | CHILDREN,
            max_concurrency=st.integers(0, 1_000),
            tolerated_failures=st.integers(-1, 9),
            discard_outputs=st.booleans(),
        ),
        st.builds(
            kinds.Loop, while_=NAMES, until=NAMES, steps=bodies, max_iterations=st.integers(0, 100_000)
        ),
        st.builds(kinds.Wait, duration=NAMES, until=NAMES),
        st.builds(kinds.Signal, name=NAMES, correlation=NAMES, schema=MAYBE),
        st.builds(
            kinds.Approval,
            title=NAMES,
            assignees=st.tuples(SOME) | st.just(()),
            due=NAMES,
            outcomes=st.tuples(SOME, SOME),
            schema=MAYBE,
        ),
        CHILDREN,
        st.builds(kinds.SetVariables, values=OBJECTS),
        st.builds(kinds.Emit, type=SOME, data=MAYBE),
        st.builds(kinds.Fail, reason=SOME, message=NAMES),
        st.builds(kinds.Succeed, result=MAYBE),
    )


def steps(does: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
    """Steps, given what they can be."""
    return st.builds(
        Step,
        id=SOME,
        service=NAMES,
        action=NAMES,
        next=NAMES,
        input=MAYBE,
        timeout=STEP_TIMES,
        description=NAMES,
        service_version=NAMES,
        retry=RETRIES,
        schedule_to_close_timeout=st.none() | spans(MILLI, YEAR),
        heartbeat_timeout=STEP_TIMES,
        output=MAYBE,
        on_error=st.just(()) | st.tuples(HANDLERS),
        compensate=st.none() | COMPENSATIONS,
        cache=st.none() | CACHES,
        limit=st.none() | LIMITS,
        at_most_once=st.booleans(),
        does=st.none() | does,
    )


LEAVES = steps(st.none())
INNER = steps(step_kinds(st.tuples(LEAVES)))
OUTER = steps(step_kinds(st.tuples(INNER) | st.tuples(LEAVES, INNER)))

definitions = st.builds(
    Definition,
    steps=st.tuples(OUTER) | st.tuples(OUTER, INNER),
    input_schema=MAYBE,
    output_schema=MAYBE,
    timeout=st.none() | spans(MILLI, YEAR),
    concurrency=st.none()
    | st.builds(
        Concurrency, limit=st.integers(1, 10_000), key=NAMES, on_conflict=st.sampled_from(OnConflict)
    ),
    finally_steps=st.just(()) | st.tuples(INNER),
    defaults=st.none()
    | st.builds(
        StepDefaults,
        retry=RETRIES,
        timeout=STEP_TIMES,
        heartbeat_timeout=STEP_TIMES,
        schedule_to_close_timeout=STEP_TIMES,
    ),
    retention=st.none() | spans(timedelta(minutes=1), timedelta(days=3_650)),
    search_attributes=st.dictionaries(SOME, WORDS, max_size=2),
    labels=st.dictionaries(SOME, SOME, max_size=2),
)
"""Definitions in which everything can be said."""
