"""What a provider has to say: each result once, the newest heartbeat, and never too much in one message."""

from __future__ import annotations

from google.rpc import status_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.api.action.v1 import action_service_pb2 as pb
from weft.core.transport import MAX_MESSAGE_BYTES
from weft.mesh.dispatch.limits import BATCH_BYTES, Window
from weft.service._answers import Answers

WINDOW = Window(invocations=7, input_bytes=99)


def greeted() -> Answers:
    answers = Answers(WINDOW)
    assert answers.take() is not None
    return answers


def take(answers: Answers) -> pb.RunActionsResponse:
    message = answers.take()
    assert message is not None
    return message


def test_the_first_message_tells_the_window() -> None:
    """Whatever else there is to say; and then there is nothing."""
    answers = Answers(WINDOW)
    message = take(answers)
    assert (message.window.invocations, message.window.input_bytes) == (7, 99)
    assert answers.take() is None


def test_all_that_ended_goes_at_once() -> None:
    """Outputs, failures with their details, and what is pending."""
    answers = greeted()
    answers.succeed(1, b"{}")
    status = status_pb2.Status(code=9, message="no")
    status.details.add(type_url="t", value=b"v")
    answers.fail(2, status)
    answers.succeed(3, None)
    message = take(answers)
    assert [(it.id, it.output, it.code, it.message, it.pending) for it in message.results] == [
        (1, b"{}", 0, "", False),
        (2, b"", 9, "no", False),
        (3, b"", 0, "", True),
    ]
    assert message.results[1].details[0].value == b"v"
    assert answers.take() is None


def test_the_newest_heartbeat_wins_and_none_follows_the_result() -> None:
    """Empty details leave what was said before."""
    answers = greeted()
    answers.beat(1, b"old")
    answers.beat(1, b"new")
    answers.beat(1, b"")
    answers.beat(2, b"gone")
    answers.succeed(2, b"{}")
    message = take(answers)
    assert [(it.id, it.details) for it in message.heartbeats] == [(1, b"new")]


def test_draining_is_said_once() -> None:
    """With whatever else there is."""
    answers = greeted()
    answers.drain()
    assert take(answers).draining
    assert answers.take() is None


@settings(deadline=None, max_examples=40)
@given(
    outputs=st.lists(st.integers(0, BATCH_BYTES), max_size=12),
    beats=st.lists(st.integers(0, 64 * 1024), max_size=40),
)
def test_every_message_can_be_received(outputs: list[int], beats: list[int]) -> None:
    """Below the limit of a message, each result once and in order, and the bytes that wait are counted."""
    answers = greeted()
    for number, size in enumerate(outputs):
        answers.succeed(number, b"x" * size)
    for number, size in enumerate(beats):
        answers.beat(1_000 + number, b"y" * size)
    results: list[tuple[int, int]] = []
    told: list[int] = []
    while (message := answers.take()) is not None:
        assert message.ByteSize() < MAX_MESSAGE_BYTES
        results += [(it.id, len(it.output)) for it in message.results]
        told += [it.id for it in message.heartbeats]
    assert results == list(enumerate(outputs))
    assert told == [1_000 + number for number in range(len(beats))]
    assert answers.waiting_bytes == 0
