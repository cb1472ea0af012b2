"""Retries, timeouts and concurrency of a definition: read from messages, shown again, and checked."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from google.protobuf import duration_pb2

from tests.unit.workflow.builders import brief, found, one_service, step
from weft.api.workflow.v1 import workflow_pb2
from weft.core.reasons import Rule
from weft.server.requests import Faults
from weft.server.workflow.checks.checks import find_problems
from weft.server.workflow.model import Concurrency, Definition, Exhausted, RetryPolicy
from weft.server.workflow.wire.policy_convert import (
    concurrency_from_proto,
    concurrency_to_proto,
    retry_from_proto,
    retry_to_proto,
)

KNOWN = one_service(a=(None, None))
SECOND = duration_pb2.Duration(seconds=1)


def read(**values: Any) -> tuple[RetryPolicy | None, list[tuple[str, str]]]:
    faults = Faults()
    policy = retry_from_proto(
        workflow_pb2.Step(retry=workflow_pb2.RetryPolicy(**values)), "steps[0].retry", faults
    )
    return policy, [(it.field, it.reason) for it in faults.found]


def test_a_step_without_a_policy_is_not_tried_again() -> None:
    """Unset is not the same as a policy of defaults."""
    assert retry_from_proto(workflow_pb2.Step(), "steps[0].retry", Faults()) is None
    assert retry_to_proto(None) is None


def test_what_is_not_said_has_its_default() -> None:
    """And the answer says all of it; no jitter is not the same as the usual one."""
    assert read() == (RetryPolicy(), [])
    policy, _ = read(jitter=0.0)
    assert policy == RetryPolicy(jitter=0.0)
    shown = retry_to_proto(RetryPolicy())
    assert shown is not None
    assert (shown.max_attempts, shown.initial_backoff, shown.multiplier) == (3, SECOND, 2.0)
    assert (shown.max_backoff.seconds, shown.jitter) == (60, 0.2)
    assert shown.on_exhausted == workflow_pb2.ON_EXHAUSTED_INCIDENT


@pytest.mark.parametrize(
    "policy",
    [
        RetryPolicy(),
        RetryPolicy(max_attempts=0),
        RetryPolicy(
            max_attempts=1,
            initial_backoff=timedelta(milliseconds=1),
            multiplier=1.0,
            max_backoff=timedelta(hours=24),
            jitter=1.0,
            non_retryable=("A", "B"),
            exhausted=Exhausted.FAIL,
        ),
    ],
)
def test_what_is_shown_can_be_sent_back(policy: RetryPolicy) -> None:
    """It means the same; without end is -1 on the wire, as 0 is the default there."""
    faults = Faults()
    assert retry_from_proto(workflow_pb2.Step(retry=retry_to_proto(policy)), "", faults) == policy
    assert not faults.found


def test_every_fault_of_a_retry_at_once() -> None:
    """With the path of each."""
    _, faults = read(
        max_attempts=-2,
        initial_backoff=duration_pb2.Duration(),
        multiplier=0.5,
        max_backoff=duration_pb2.Duration(seconds=90_000),
        jitter=float("nan"),
        non_retryable_reasons=["x" * 129, *["R"] * 50],
        on_exhausted=9,
    )
    assert sorted(faults) == [
        ("steps[0].retry.initial_backoff", Rule.OUT_OF_RANGE),
        ("steps[0].retry.jitter", Rule.OUT_OF_RANGE),
        ("steps[0].retry.max_attempts", Rule.OUT_OF_RANGE),
        ("steps[0].retry.max_backoff", Rule.OUT_OF_RANGE),
        ("steps[0].retry.multiplier", Rule.OUT_OF_RANGE),
        ("steps[0].retry.non_retryable_reasons", Rule.TOO_MANY),
        ("steps[0].retry.non_retryable_reasons[0]", Rule.TOO_LONG),
        ("steps[0].retry.on_exhausted", Rule.INVALID),
    ]


@pytest.mark.parametrize("limit", [1, 10_000])
def test_a_concurrency_can_be_sent_back(limit: int) -> None:
    """None stays none."""
    given = Concurrency(limit=limit, key="${input.customer}")
    message = workflow_pb2.Workflow(concurrency=concurrency_to_proto(given))
    assert concurrency_from_proto(message, Faults()) == given
    assert concurrency_from_proto(workflow_pb2.Workflow(), Faults()) is None


@pytest.mark.parametrize("limit", [-1, 0, 10_001])
def test_a_limit_out_of_range(limit: int) -> None:
    """Together with a key that is too long."""
    faults = Faults()
    message = workflow_pb2.Workflow(concurrency=workflow_pb2.Concurrency(limit=limit, key="x" * 1_025))
    concurrency_from_proto(message, faults)
    assert [(it.field, it.reason) for it in faults.found] == [
        ("workflow.concurrency.limit", Rule.OUT_OF_RANGE),
        ("workflow.concurrency.key", Rule.TOO_LONG),
    ]


@pytest.mark.parametrize(
    ("key", "problems"),
    [
        ("", []),
        ("all", []),
        ("${input.customer}/${context.project_id}", []),
        ('${has(input.a) ? input.a : "none"}', []),
        ("${steps.a.n}", [("concurrency.key", Rule.EXPRESSION_NAME_UNKNOWN)]),
        ("${execution.id}", [("concurrency.key", Rule.EXPRESSION_NAME_UNKNOWN)]),
        ("${inputs.a}", [("concurrency.key", Rule.EXPRESSION_NAME_UNKNOWN)]),
        ("${shout(input.a)}", [("concurrency.key", Rule.EXPRESSION_NAME_UNKNOWN)]),
        ("${input.}", [("concurrency.key", Rule.EXPRESSION_INVALID)]),
        ("${input.a", [("concurrency.key", Rule.EXPRESSION_INVALID)]),
    ],
)
def test_the_expressions_of_a_key(key: str, problems: list[tuple[str, str]]) -> None:
    """It knows what is there at the start: input and context."""
    concurrency = Concurrency(limit=1, key=key)
    assert found(KNOWN, step("a"), concurrency=concurrency) == problems


def test_a_close_name_is_offered() -> None:
    """As everywhere in definitions."""
    concurrency = Concurrency(limit=1, key="${inputs.a}")
    problems = list(find_problems(Definition(steps=(step("a"),), concurrency=concurrency), KNOWN))
    assert brief(problems) == [("concurrency.key", Rule.EXPRESSION_NAME_UNKNOWN)]
    assert problems[0].hint == "did you mean 'input'?"
