"""Files that define workflows and services."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.unit.cli.files import faults_of
from weft.cli._files.definitions import read_services, read_workflows
from weft.core.errors import ValidationError

WORKFLOW = """
name: greet
description: Greets.
metadata: {team: a}
input_schema: {type: object}
timeout: 5m
steps:
  - id: one
    service: hello
    action: say
    next: two
    timeout: 30
  - id: two
    service: hello
    action: shout
    input: {text: "${ input.a }"}
    next: null
"""


def test_a_workflow(file: Path) -> None:
    """Every key is read, durations in all their forms, and null is as good as absent."""
    file.write_text(WORKFLOW)
    (found,) = read_workflows([str(file)])
    assert (found.name, found.label) == ("greet", str(file))
    assert found.values["timeout"] == timedelta(minutes=5)
    first, second = found.values["steps"]
    assert first["timeout"] == timedelta(seconds=30)
    assert second == {"id": "two", "service": "hello", "action": "shout", "input": {"text": "${ input.a }"}}


def test_every_fault_at_once(file: Path) -> None:
    """Unknown keys with a hint, missing keys and wrong types of the whole file are listed together."""
    faults = faults_of(
        file,
        "name: [greet]\nmetdata: {}\ntimeout: soon\nsteps:\n"
        "- {id: one, servce: hello, action: say}\n- 7\n- {id: 1, service: s, action: a, input: text}\n",
    )
    assert faults == [
        "name: is a list, not text",
        "metdata: is no known key; did you mean 'metadata'?",
        "timeout: 'soon' is no duration; write 500ms, 30s, 5m, 1h30m or a number of seconds",
        "steps[0].service: is required",
        "steps[0].servce: is no known key; did you mean 'service'?",
        "steps[1]: is a number, not an object",
        "steps[2].id: is a number, not text",
        "steps[2].input: is text, not an object",
    ]


def test_faults_of_all_documents(file: Path) -> None:
    """Each fault names its document when there are several."""
    faults = faults_of(file, "name: a\n---\nsteps: []\n")
    assert faults == [
        f"{file} (document 1): steps: is required",
        f"{file} (document 2): name: is required",
    ]


def test_one_name_twice(file: Path) -> None:
    """A name that two documents define is refused: the later would undo the earlier."""
    faults = faults_of(file, "{name: a, steps: []}\n---\n{name: a, steps: []}\n")
    assert faults == [f"{file} (document 2): name: 'a' is defined by {file} (document 1) already"]


def test_true_is_no_duration(file: Path) -> None:
    """A truth value is not taken for a number of seconds."""
    assert "not a duration" in faults_of(file, "{name: a, steps: [], timeout: true}")[0]


def test_a_service(file: Path) -> None:
    """A service has actions with schemas, idempotency and a timeout."""
    file.write_text("{name: s, endpoint: 'grpc://h:1', actions: [{name: a, idempotent: true, timeout: 2s}]}")
    (found,) = read_services([str(file)])
    assert found.values == {
        "endpoint": "grpc://h:1",
        "actions": [{"name": "a", "idempotent": True, "timeout": timedelta(seconds=2)}],
    }


def test_a_service_with_a_wrong_flag(file: Path) -> None:
    """Text is not taken for true."""
    file.write_text("{name: s, actions: [{name: a, idempotent: yes}]}")
    with pytest.raises(ValidationError, match=r"actions\[0\]\.idempotent: is text, not true or false"):
        read_services([str(file)])


RETRIED = """
name: pay
concurrency: {limit: 2, key: "${input.customer}"}
steps:
  - id: charge
    service: cards
    action: charge
    schedule_to_close_timeout: 10m
    heartbeat_timeout: 5s
    retry:
      max_attempts: 5
      initial_backoff: 500ms
      multiplier: 1.5
      max_backoff: 1m
      jitter: 0
      non_retryable_reasons: [CARD_EXPIRED]
      on_exhausted: fail
"""


def test_retries_timeouts_and_concurrency(file: Path) -> None:
    """Durations are read as people write them; numbers stay numbers."""
    file.write_text(RETRIED)
    (found,) = read_workflows([str(file)])
    assert found.values["concurrency"] == {"limit": 2, "key": "${input.customer}"}
    (step,) = found.values["steps"]
    assert step["schedule_to_close_timeout"] == timedelta(minutes=10)
    assert step["heartbeat_timeout"] == timedelta(seconds=5)
    assert step["retry"] == {
        "max_attempts": 5,
        "initial_backoff": timedelta(milliseconds=500),
        "multiplier": 1.5,
        "max_backoff": timedelta(minutes=1),
        "jitter": 0,
        "non_retryable_reasons": ["CARD_EXPIRED"],
        "on_exhausted": "fail",
    }


def test_every_fault_of_policies_at_once(file: Path) -> None:
    """Each is named by its path, with what would do instead."""
    faults = faults_of(
        file,
        "name: pay\nconcurrency: {key: 7}\nsteps:\n"
        "- id: a\n  service: s\n  action: b\n  heartbeat_timeout: often\n"
        "  retry: {max_atempts: 5, max_attempts: 2.5, jitter: much, initial_backoff: soon, on_exhausted: 1}\n"
        "- {id: c, service: s, action: b, retry: 5}\n",
    )
    duration = "is no duration; write 500ms, 30s, 5m, 1h30m or a number of seconds"
    assert faults == [
        "concurrency.limit: is required",
        "concurrency.key: is a number, not text",
        f"steps[0].heartbeat_timeout: 'often' {duration}",
        "steps[0].retry.max_atempts: is no known key; did you mean 'max_attempts'?",
        "steps[0].retry.max_attempts: is 2.5, not a whole number",
        "steps[0].retry.jitter: is text, not a number",
        f"steps[0].retry.initial_backoff: 'soon' {duration}",
        "steps[0].retry.on_exhausted: is a number, not text",
        "steps[1].retry: is a number, not an object",
    ]
