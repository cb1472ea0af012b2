"""How inputs are read and results are written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel, Field, field_validator

from weft.core.errors import (
    ActionFailedError,
    Code,
    ExhaustedError,
    InternalError,
    PreconditionError,
    ResourceNotFoundError,
    ValidationError,
    Violation,
)
from weft.core.payload import loads
from weft.core.reasons import Reason, Rule
from weft.service import ActionContext, Service
from weft.service._failure import failure_of, failure_of_exception
from weft.service._input import Input
from weft.service._output import Output

CONTEXT = ActionContext(service="demo", action="act")


class Item(BaseModel):
    name: str
    price: float = Field(0, ge=0)

    @field_validator("name")
    @classmethod
    def no_blank(cls, value: str) -> str:
        if value == "boom":
            raise RuntimeError("broken validator")
        if not value.strip():
            raise ValueError("must not be blank")
        return value


@dataclass
class Loose:
    items: list[Any]
    ratio: float | None = None


def derived(function: Callable[..., Any]) -> tuple[Input, Output]:
    service = Service("demo")
    service.action(function)
    (action,) = service.definition.actions.values()
    return action.input, action.output


def returning(kind: Any) -> Output:
    async def act() -> None: ...

    act.__annotations__["return"] = kind
    return derived(act)[1]


def test_every_fault_of_an_input_by_its_path() -> None:
    """All faults are told at once, each with its path in the input and its rule."""

    async def act(items: list[Item], value: int | list[int], other: str) -> None: ...

    given, _ = derived(act)
    value = {"items": [{"name": "a"}, {"name": " ", "price": -1}, {}], "value": "x", "extra": 1}
    with pytest.raises(ValidationError) as caught:
        given.arguments(value, CONTEXT)
    found = {(v.field, v.reason) for v in caught.value.violations}
    assert found == {
        ("input.items[1].name", Rule.INVALID),
        ("input.items[1].price", Rule.SCHEMA_MISMATCH),
        ("input.items[2].name", Rule.REQUIRED),
        ("input.value", Rule.SCHEMA_MISMATCH),
        ("input.other", Rule.REQUIRED),
        ("input.extra", Rule.SCHEMA_MISMATCH),
    }


def test_a_validator_that_breaks_is_a_fault_of_the_input() -> None:
    """Whatever a validator raises, the caller learns that the input was not read."""

    async def act(item: Item) -> None: ...

    with pytest.raises(ValidationError, match="RuntimeError: broken validator") as caught:
        derived(act)[0].arguments({"name": "boom"}, CONTEXT)
    assert caught.value.violations[0].field == "input"


@pytest.mark.parametrize(
    ("kind", "result", "expected"),
    [
        (Item, Item(name="a", price=2), {"name": "a", "price": 2.0}),
        (Loose, Loose([1, None, "x"]), {"items": [1, None, "x"], "ratio": None}),
        (
            dict[str, Any],
            {"a": {"b": datetime(2026, 1, 1, tzinfo=UTC)}},
            {"a": {"b": "2026-01-01T00:00:00Z"}},
        ),
        (None, None, {}),
    ],
)
def test_results_are_written_as_json(kind: Any, result: object, expected: dict[str, Any]) -> None:
    """A result of the promised type becomes its JSON object."""
    assert loads(returning(kind).dump(result)) == expected


@pytest.mark.parametrize(
    ("kind", "result"),
    [
        (dict[str, Any], {"a": float("nan")}),
        (dict[str, Any], {"a": [{"b": float("inf")}]}),
        (Loose, Loose([float("nan")])),
        (Loose, Loose([], ratio=float("-inf"))),
        (Item, {"name": "a", "price": 1.0}),
        (Item, None),
        (None, 3),
        (dict[str, Any], {"a": object()}),
        (dict[str, Any], {"a": "\ud800"}),
        (dict[str, Any], {"a": 2**70}),
        (dict[str, int], {"a": "text"}),
        (Item, Item.model_construct(name="a", price=-5.0)),
    ],
)
def test_results_that_break_the_promise_are_refused(kind: Any, result: object) -> None:
    """NaN, another type, no JSON, or out of the schema's bounds: a precondition failure of ours."""
    with pytest.raises(PreconditionError) as caught:
        returning(kind).dump(result)
    assert caught.value.reason == Reason.ACTION_OUTPUT_INVALID


def test_results_too_deep_or_too_large() -> None:
    """Depth is a fault of the form, size is a limit."""
    deep: dict[str, Any] = {}
    for _ in range(40):
        deep = {"a": deep}
    with pytest.raises(PreconditionError, match="deeper than 32"):
        returning(dict[str, Any]).dump(deep)
    with pytest.raises(ExhaustedError) as caught:
        returning(dict[str, Any]).dump({"a": "x" * 1_100_000})
    assert caught.value.reason == Reason.ACTION_OUTPUT_TOO_LARGE


def test_a_cycle_is_refused() -> None:
    """A result that contains itself ends as an error, not as a hang."""
    cycle: dict[str, Any] = {}
    cycle["a"] = cycle
    with pytest.raises(PreconditionError):
        returning(dict[str, Any]).dump(cycle)


def test_other_exceptions_tell_type_and_message() -> None:
    """The caller learns what was raised, and that it was the action."""
    failure = failure_of_exception(ZeroDivisionError("division by zero"))
    assert failure.message == "ZeroDivisionError: division by zero"
    assert (failure.reason, failure.code) == (Reason.ACTION_FAILED, Code.ABORTED)
    assert failure.metadata == {"type": "ZeroDivisionError"}
    assert failure_of_exception(KeyError()).message == "KeyError"


def test_errors_of_ours_become_failures_of_the_action() -> None:
    """Code, reason, metadata and violations stay; the class says that the action failed."""
    failure = failure_of(ResourceNotFoundError("customer", "7"))
    assert type(failure) is ActionFailedError
    assert (failure.code, failure.reason) == (Code.NOT_FOUND, "CUSTOMER_NOT_FOUND")
    assert failure.metadata["resource_id"] == "7"


@pytest.mark.parametrize("code", [Code.OK, Code.UNKNOWN, Code.INTERNAL])
def test_no_action_fails_as_unknown_or_internal(code: Code) -> None:
    """These codes would blame the platform."""
    assert failure_of(ActionFailedError("x", code=code)).code is Code.ABORTED
    assert failure_of(InternalError("x")).code is Code.ABORTED


def test_failures_are_made_fit_for_the_wire() -> None:
    """Any text, any amount: what travels is valid UTF-8 and small."""

    class SilentError(Exception):
        def __str__(self) -> str:
            raise ValueError("no text")

    many = {f"key{i}": "é" * 300 for i in range(50)}
    violations = [Violation(f"f{i}", "d" * 600) for i in range(50)]
    failure = failure_of(
        ActionFailedError("語" * 5_000 + "\udcff", reason="", metadata=many, violations=violations)
    )
    assert len(failure.message.encode()) < 1_000
    assert failure.reason == Reason.ACTION_FAILED
    assert sum(len(v.encode()) for v in failure.metadata.values()) <= 1_024
    assert failure.violations[-1].description == "and 45 more"
    assert failure_of(ActionFailedError("a\udcffb", metadata={"n": 5})).metadata == {"n": "5"}  # type: ignore[dict-item] # what users do
    assert (
        failure_of_exception(SilentError()).message == "SilentError: (ValueError while writing the message)"
    )


def test_a_text_in_the_place_of_a_reason_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    """A reason is for programs; another text does not cost the caller what the action says."""
    for reason in ("card declined", "card_declined", "1ST", "A" * 64, "CARD-DECLINED"):
        found = failure_of(ActionFailedError("no money", reason=reason, code=Code.NOT_FOUND))
        assert (found.reason, found.message, found.code) == ("ACTION_FAILED", "no money", Code.NOT_FOUND)
        assert found.metadata == {"reason": reason}
    assert "reason 'card declined' is not UPPER_SNAKE_CASE" in caplog.text
    for reason in ("CARD_DECLINED", "X", "HTTP_404"):
        assert failure_of(ActionFailedError("no money", reason=reason)).reason == reason


@dataclass
class Paid:
    payment_id: str
    amount: float = 0


@pytest.mark.parametrize(
    ("kind", "result", "message"),
    [
        (Paid, Paid(3), 'output.payment_id: 3 is not of type "string"'),  # type: ignore[arg-type]  # the point
        (dict[str, str], {"a": 1}, 'output.a: 1 is not of type "string"'),
        (Item, {"price": 1}, 'output: "name" is a required property'),
        (Item, {"name": "x", "price": 1}, "output: is of type dict, not Item"),
        (Item, "text", 'output: "text" is not of type "object"'),
    ],
)
def test_results_of_other_types_are_named(kind: Any, result: object, message: str) -> None:
    """A result that is not what was declared is said in the words of every other output."""
    with pytest.raises(PreconditionError) as caught:
        returning(kind).dump(result)
    assert caught.value.message == message
    assert caught.value.reason == Reason.ACTION_OUTPUT_INVALID
