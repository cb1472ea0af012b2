"""Errors on the wire: what goes in comes out, small enough, whatever it holds."""

from __future__ import annotations

import copy
import pickle
from datetime import timedelta

import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.core.errors import (
    ActionFailedError,
    AlreadyExistsError,
    CallCancelledError,
    Code,
    ConflictError,
    DeadlineExceededError,
    ExhaustedError,
    InternalError,
    MaxRetriesExceededError,
    PreconditionError,
    ResourceNotFoundError,
    ServiceUnavailableError,
    UnexpectedStatusError,
    ValidationError,
    Violation,
    WeftError,
)
from weft.core.metadata import MAX_METADATA_BYTES
from weft.core.reasons import ACTION_DOMAIN, DOMAIN, Reason, Rule
from weft.core.status import from_code, from_status, to_status

calmly = settings(deadline=None)
"""A machine that is busy is no fault."""

SECOND = timedelta(seconds=1.5)
WHERE = {"where": "here", "count": "3"}
FAULTS = (Violation("a.b[0]", "is required", Rule.REQUIRED), Violation("", "is odd"))

ERRORS: list[WeftError] = [
    ValidationError(FAULTS, metadata=WHERE),
    ResourceNotFoundError("workflow version", "w@7", metadata=WHERE),
    ResourceNotFoundError("service", "s", message="gone", reason=Reason.WORKFLOW_NOT_FOUND),
    AlreadyExistsError("taken", metadata=WHERE),
    AlreadyExistsError("again", reason=Reason.REQUEST_ID_REUSED),
    PreconditionError("not now", violations=FAULTS, reason=Reason.ACTION_OUTPUT_INVALID),
    ConflictError("changed", metadata=WHERE),
    ServiceUnavailableError("store", "down", reason=Reason.STORE_UNAVAILABLE, retry_after=SECOND),
    ServiceUnavailableError("texts", metadata=WHERE),
    ExhaustedError("full", reason=Reason.STORE_FULL, retry_after=SECOND),
    DeadlineExceededError("late", reason=Reason.ACTION_TIMEOUT, metadata=WHERE),
    CallCancelledError("left", reason=Reason.EXECUTION_CANCELLED),
    InternalError("a defect", metadata={"error_id": "err_1"}),
    UnexpectedStatusError("odd", code=Code.DATA_LOSS),
    *(
        ActionFailedError("mine", reason="CUSTOMER_UNKNOWN", code=code, metadata=WHERE, violations=FAULTS)
        for code in Code
        if code is not Code.OK
    ),
    ActionFailedError("slow down", code=Code.RESOURCE_EXHAUSTED, retry_after=SECOND),
]


def info_of(status: status_pb2.Status) -> error_details_pb2.ErrorInfo:
    """Return the one ErrorInfo of a status."""
    found = [packed for packed in status.details if packed.type_url.endswith("/google.rpc.ErrorInfo")]
    assert len(found) == 1
    info = error_details_pb2.ErrorInfo()
    found[0].Unpack(info)
    return info


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: f"{type(error).__name__} {error.code.name}")
def test_an_error_survives_the_wire(error: WeftError) -> None:
    """Class, code, reason, message, metadata, violations and the wait come back as they were."""
    status = status_pb2.Status.FromString(to_status(error).SerializeToString())
    back = from_status(status)
    assert type(back) is type(error)
    assert (back.code, back.reason, back.message, back.metadata) == (
        error.code,
        error.reason,
        error.message,
        error.metadata,
    )
    assert (back.violations, back.retry_after) == (error.violations, error.retry_after)
    own = isinstance(error, ActionFailedError)
    assert info_of(status).domain == (ACTION_DOMAIN if own else DOMAIN)


@pytest.mark.parametrize(
    "error", [*ERRORS, MaxRetriesExceededError(4, ERRORS[0])], ids=lambda it: type(it).__name__
)
def test_an_error_survives_the_way_to_another_process(error: WeftError) -> None:
    """A pool of processes hands on what was raised in one; what it cannot read breaks the pool."""
    error.add_note("in the night")
    for back in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
        assert type(back) is type(error)
        assert (str(back), back.args, back.code) == (str(error), error.args, error.code)
        assert {**vars(back), "last_error": None} == {**vars(error), "last_error": None}
    assert vars(copy.copy(error)) == vars(error)


def test_an_action_may_say_seconds() -> None:
    """As everywhere in the SDK; a number took the action's own reason along before."""
    assert ActionFailedError("busy", retry_after=1.5).retry_after == SECOND
    back = from_status(to_status(ActionFailedError("busy", reason="BUSY", retry_after=2)))
    assert (back.reason, back.retry_after) == ("BUSY", timedelta(seconds=2))


def test_giving_up_travels_as_what_was_given_up_for() -> None:
    """MaxRetriesExceededError is of the caller alone: to anybody else it is the last failure."""
    last = ServiceUnavailableError("texts", reason=Reason.NO_INSTANCE, retry_after=SECOND)
    back = from_status(to_status(MaxRetriesExceededError(4, last)))
    assert type(back) is ServiceUnavailableError
    assert (back.service_name, back.reason, back.retry_after) == ("texts", Reason.NO_INSTANCE, SECOND)


def test_each_detail_stands_where_it_fits() -> None:
    """ResourceInfo, PreconditionFailure and RetryInfo come with the errors that they are for."""
    kinds = {
        type(error).__name__: {packed.type_url.rpartition(".")[2] for packed in to_status(error).details}
        for error in (
            ResourceNotFoundError("service", "s"),
            PreconditionError("not now"),
            ExhaustedError("full", retry_after=SECOND),
            ValidationError(FAULTS),
        )
    }
    assert kinds == {
        "ResourceNotFoundError": {"ErrorInfo", "ResourceInfo"},
        "PreconditionError": {"ErrorInfo", "PreconditionFailure"},
        "ExhaustedError": {"ErrorInfo", "RetryInfo"},
        "ValidationError": {"ErrorInfo", "BadRequest"},
    }


@pytest.mark.parametrize("text", ["x" * 30, "ü€😀" * 200], ids=["short", "long"])
def test_500_violations_fit_and_the_last_one_counts_the_rest(text: str) -> None:
    """Below the metadata's limit; those that are there are whole, and none is lost without a word."""
    error = ValidationError([Violation(f"steps[{n}].{text}", text, Rule.INVALID) for n in range(500)])
    status = to_status(error)
    assert status.ByteSize() < MAX_METADATA_BYTES
    *kept, more = from_status(status).violations
    assert kept
    assert (more.reason, more.description) == ("MORE", f"and {500 - len(kept)} more")
    assert [violation.field.partition(".")[0] for violation in kept] == [
        f"steps[{n}]" for n in range(len(kept))
    ]


texts = st.text(max_size=5_000)  # with lone surrogates, which UTF-8 cannot say


@calmly
@given(
    kind=st.sampled_from([AlreadyExistsError, PreconditionError, ExhaustedError, ActionFailedError]),
    message=texts,
    reason=st.text(max_size=200),
    metadata=st.dictionaries(texts, texts, max_size=20),
    faults=st.lists(st.builds(Violation, texts, texts, st.sampled_from(list(Rule))), max_size=30),
)
def test_any_error_fits(
    kind: type[AlreadyExistsError | PreconditionError | ExhaustedError | ActionFailedError],
    message: str,
    reason: str,
    metadata: dict[str, str],
    faults: list[Violation],
) -> None:
    """Whatever an error holds, its status can be sent."""
    status = to_status(kind(message, reason=reason, metadata=metadata, violations=faults))
    assert len(status.SerializeToString()) < MAX_METADATA_BYTES
    assert isinstance(from_status(status), WeftError)


@pytest.mark.parametrize("code", list(Code)[1:], ids=lambda code: code.name)
def test_a_status_without_details_has_the_class_of_its_code(code: Code) -> None:
    """As gRPC itself makes it; a NOT_FOUND without a name is not one of ours."""
    error = from_code(int(code), "as it is")
    assert (error.code, error.message) == (code, "as it is")
    if code in {Code.UNKNOWN, Code.INTERNAL, Code.NOT_FOUND}:
        assert type(error) is UnexpectedStatusError
    if code is Code.RESOURCE_EXHAUSTED:
        assert error.reason == Reason.MESSAGE_TOO_LARGE


def test_a_code_that_does_not_exist_is_unknown() -> None:
    """A peer may say anything."""
    assert from_code(99, "odd").code is Code.UNKNOWN


def test_details_of_other_types_are_passed_over() -> None:
    """A peer may send details that nobody here knows."""
    status = to_status(ConflictError("changed"))
    status.details.insert(0, any_pb2.Any(type_url="type.googleapis.com/unknown.Type", value=b"\xff"))
    assert type(from_status(status)) is ConflictError
