"""JSON to messages and back: every fault named at once, and nothing lost on the way."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from tests.support.dynamic import descriptors
from tests.support.messages import JSON, messages, near
from weft.core.errors import PreconditionError, ValidationError
from weft.core.payload import JsonObject, dumps, loads
from weft.core.reasons import Reason, Rule
from weft.core.schema import compile_schema
from weft.mesh.dynamic._check import Checker
from weft.mesh.dynamic.codec import MessageCodec
from weft.mesh.dynamic.schema import input_schema, output_schema

CODEC = MessageCodec(descriptors())
EVERYTHING = descriptors().method("Echo").input
QUERY = descriptors().method("Ask").input
INPUTS = {kind.full_name: input_schema(descriptors(), kind) for kind in (EVERYTHING, QUERY)}
OUTPUTS = {kind.full_name: output_schema(descriptors(), kind) for kind in (EVERYTHING, QUERY)}

bounded = settings(
    max_examples=30,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def faults(value: JsonObject, kind: Any = EVERYTHING) -> dict[str, str]:
    with pytest.raises(ValidationError) as caught:
        CODEC.encode(kind, value, "input")
    return {violation.field.removeprefix("input."): violation.reason for violation in caught.value.violations}


def there_and_back(value: JsonObject, kind: Any = EVERYTHING) -> JsonObject:
    return CODEC.decode(kind, CODEC.encode(kind, value))


def test_every_fault_is_named_at_once() -> None:
    """With its path, at whatever depth, and the rule that it breaks."""
    value = {
        "small": "x", "large": 2**70, "colour": 1, "color": "BLUE", "data": "$$$", "yes": 1, "single": 1e39,
        "byText": "a", "by_leaf": {}, "leaves": [{"nme": 1}, None, 3], "labels": {"a": 1}, "text": 5,
        "leavesByNumber": {"x": {}, "1": {"name": 2}}, "byTruth": {"maybe": 1}, "many_numbers": 7,
        "at": "yesterday", "lasts": 5, "mask": "a_b", "any_json": float("nan"), "struct_value": [],
        "list_value": {}, "wrapped_number": "1.5", "nothing": {"a": 1}, "unsigned_small": -1, "twice": True,
        "anything": {"@type": "x/y"}, "inner": {"inner": {"times": {"a": "2026-02-30T00:00:00Z"}}},
    }  # fmt: skip
    assert faults(value) == {
        "small": Rule.SCHEMA_MISMATCH, "large": Rule.OUT_OF_RANGE, "colour": Rule.INPUT_UNKNOWN,
        "color": Rule.SCHEMA_MISMATCH, "data": Rule.SCHEMA_MISMATCH, "yes": Rule.SCHEMA_MISMATCH,
        "single": Rule.OUT_OF_RANGE, "by_leaf": Rule.DUPLICATE, "leaves[0].nme": Rule.INPUT_UNKNOWN,
        "leaves[1]": Rule.SCHEMA_MISMATCH, "leaves[2]": Rule.SCHEMA_MISMATCH,
        "labels.a": Rule.SCHEMA_MISMATCH, "text": Rule.SCHEMA_MISMATCH,
        "leavesByNumber.x": Rule.SCHEMA_MISMATCH, "leavesByNumber.1.name": Rule.SCHEMA_MISMATCH,
        "byTruth.maybe": Rule.SCHEMA_MISMATCH, "many_numbers": Rule.SCHEMA_MISMATCH,
        "at": Rule.SCHEMA_MISMATCH, "lasts": Rule.SCHEMA_MISMATCH, "mask": Rule.SCHEMA_MISMATCH,
        "any_json": Rule.SCHEMA_MISMATCH, "struct_value": Rule.SCHEMA_MISMATCH,
        "list_value": Rule.SCHEMA_MISMATCH, "wrapped_number": Rule.SCHEMA_MISMATCH,
        "nothing.a": Rule.INPUT_UNKNOWN, "unsigned_small": Rule.OUT_OF_RANGE, "twice": Rule.SCHEMA_MISMATCH,
        "anything.@type": Rule.SCHEMA_MISMATCH, "inner.inner.times.a": Rule.SCHEMA_MISMATCH,
    }  # fmt: skip


def test_a_fault_says_what_would_be_right() -> None:
    """An unknown name gets a close one, a type what is taken."""
    with pytest.raises(ValidationError) as caught:
        CODEC.encode(EVERYTHING, {"colour": 1, "small": "x", "color": "REDD"})
    texts = "; ".join(str(violation) for violation in caught.value.violations)
    assert "colour: kinds.v1.Everything has no such field; did you mean 'color'?" in texts
    assert "small: is 'x', not an integer" in texts
    assert "did you mean 'RED'?" in texts


@pytest.mark.parametrize(
    ("value", "path", "rule"),
    [
        ({"many_numbers": [1], "manyNumbers": [2]}, "manyNumbers", Rule.DUPLICATE),
        ({"leaves_by_number": {"1": {}, "01": {}}}, "leaves_by_number.01", Rule.DUPLICATE),
        ({"anything": {"a": 1}}, "anything.@type", Rule.REQUIRED),
        ({"anything": {"@type": "x/google.protobuf.Duration"}}, "anything.value", Rule.REQUIRED),
        ({"anything": {"@type": "x/kinds.v1.Leaf", "nme": 1}}, "anything.nme", Rule.INPUT_UNKNOWN),
        ({"text": "\ud800"}, "text", Rule.SCHEMA_MISMATCH),
        ({"struct_value": {"a": {1, 2}}}, "struct_value.a", Rule.SCHEMA_MISMATCH),
        ({"any_json": 10**400}, "any_json", Rule.SCHEMA_MISMATCH),
        ({"twice": 10**400}, "twice", Rule.OUT_OF_RANGE),
        ({"at": "2026-01-31 08:00:00Z"}, "at", Rule.SCHEMA_MISMATCH),
        ({"lasts": "999999999999s"}, "lasts", Rule.SCHEMA_MISMATCH),
        ({"labels": {"a": None}}, "labels.a", Rule.SCHEMA_MISMATCH),
        ({"struct_value": {1: 2}}, "struct_value[1]", Rule.SCHEMA_MISMATCH),
    ],
    ids=str,
)
def test_a_single_fault(value: Any, path: str, rule: str) -> None:
    """What ProtoJSON forbids, and ``json_format`` would take, or fail at in its own way."""
    assert faults(value) == {path: rule}


def test_a_value_too_deep_is_refused() -> None:
    """At the limit of payloads, whatever the recursion is made of."""
    deep: Any = {}
    tree: Any = {"id": "leaf"}
    for _ in range(2_000):
        deep, tree = {"a": deep}, {"children": [tree]}
    assert set(faults({"struct_value": deep}).values()) == {Rule.PAYLOAD_TOO_DEEP}
    assert set(faults(tree, descriptors().method("Grow").input).values()) == {Rule.PAYLOAD_TOO_DEEP}


def test_faults_are_counted_only_so_far() -> None:
    """A hundred are told, of however many."""
    assert len(faults({"leaves": [{"nme": 1}] * 5_000})) == 100


def test_both_names_of_a_field_and_both_forms_of_a_number_are_taken() -> None:
    """Output has the field's own name, and a number wherever a double is exact."""
    value = {"manyNumbers": ["1", 2, 3.0, str(2**63 - 1)], "unsignedLarge": 5, "twice": "1e3", "color": 2}
    found = there_and_back(value)
    assert found["many_numbers"] == [1, 2, 3, str(2**63 - 1)]
    assert (found["unsigned_large"], found["twice"], found["color"]) == (5, 1000.0, "GREEN")


def test_null_is_the_absence_of_a_field() -> None:
    """Except for Value, of which it is a value."""
    found = there_and_back(
        {"maybe_text": None, "small": None, "by_text": None, "by_number": 1, "any_json": None}
    )
    assert "maybe_text" not in found
    assert (found["small"], found["by_number"], found["any_json"]) == (0, 1, None)


def test_output_is_complete() -> None:
    """Fields without presence are there when they are zero or empty; those with presence are not."""
    found = there_and_back({})
    assert (found["small"], found["text"], found["leaves"], found["labels"]) == (0, "", [], {})
    assert found["color"] == "COLOR_UNSPECIFIED"
    assert not {"maybe_text", "inner", "by_text", "at", "wrapped_number"} & found.keys()


def test_what_only_proto2_has() -> None:
    """Required fields are missed, closed enums refuse other numbers, extensions and groups work."""
    assert faults({}, QUERY) == {"must_have": Rule.REQUIRED}
    assert faults({"mustHave": None, "level": 3}, QUERY) == {
        "must_have": Rule.REQUIRED,
        "level": Rule.SCHEMA_MISMATCH,
    }
    value = {"must_have": "x", "part": {"text": "y"}, "[old.v1.extra]": "more", "level": 2}
    assert there_and_back(value, QUERY) == {**value, "level": "HIGH"}
    assert faults({"must_have": "x", "[old.v1.nope]": 1}, QUERY) == {"[old.v1.nope]": Rule.INPUT_UNKNOWN}


def test_a_message_that_is_no_object_stands_under_value() -> None:
    """A Timestamp as the whole of a response, as it would in an Any."""
    now = descriptors().method("Now").output
    data = CODEC.encode(now, {"value": "2026-01-31T08:00:00Z"})
    assert CODEC.decode(now, data) == {"value": "2026-01-31T08:00:00Z"}
    assert faults({}, now) == {"value": Rule.REQUIRED}
    assert faults({"value": "x"}, now) == {"value": Rule.SCHEMA_MISMATCH}
    assert faults({"value": "2026-01-31T08:00:00Z", "a": 1}, now) == {"a": Rule.INPUT_UNKNOWN}


def test_the_input_is_not_changed() -> None:
    """An Any keeps its members in their order."""
    value = {"anything": {"@type": "x/kinds.v1.Leaf", "name": "a"}}
    CODEC.encode(EVERYTHING, value)
    assert list(value["anything"]) == ["@type", "name"]


@pytest.mark.parametrize("data", [b"\xff\xff", b"\xf2\x01\x02\x08\xff"], ids=["garbage", "cut"])
def test_bytes_that_are_no_such_message_are_refused(data: bytes) -> None:
    """ACTION_OUTPUT_INVALID, with the type that was expected."""
    with pytest.raises(PreconditionError) as caught:
        CODEC.decode(EVERYTHING, data)
    assert caught.value.reason == Reason.ACTION_OUTPUT_INVALID
    assert "kinds.v1.Everything" in caught.value.message


def test_what_json_cannot_say_is_refused() -> None:
    """A time after the year 9999; and an Any that does not hold what it says."""
    late: Any = descriptors().message_class(EVERYTHING)()
    late.at.seconds = 10**15
    broken: Any = descriptors().message_class(EVERYTHING)()
    broken.anything.type_url, broken.anything.value = "x/kinds.v1.Leaf", b"\xff"
    for message in (late, broken):
        with pytest.raises(PreconditionError) as caught:
            CODEC.decode(EVERYTHING, message.SerializeToString())
        assert caught.value.reason == Reason.ACTION_OUTPUT_INVALID


UNKNOWN = {"@type": "type.example.com/nobody.Knows", "value": "/wA="}


@pytest.mark.parametrize("url", [UNKNOWN["@type"], "nobody", "", "a/b/"])
def test_an_any_of_an_unknown_type_is_its_bytes(url: str) -> None:
    """It does not fail the call: there is its type URL, and base64; what else was said is there too."""
    made: Any = descriptors().message_class(EVERYTHING)()
    made.anything.type_url, made.anything.value, made.text = url, b"\xff\0", "said"
    found = CODEC.decode(EVERYTHING, made.SerializeToString())
    assert (found["anything"], found["text"]) == ({"@type": url, "value": "/wA="}, "said")
    assert not compile_schema(OUTPUTS[EVERYTHING.full_name]).violations(found, "output")


def test_an_any_of_an_unknown_type_within_one_that_is_known() -> None:
    """Only the inner one is bytes."""
    inner: Any = descriptors().message_class(EVERYTHING)()
    inner.anything.type_url, inner.anything.value = UNKNOWN["@type"], b"\xff\0"
    inner.any_json.number_value = 5
    made: Any = descriptors().message_class(EVERYTHING)()
    made.anything.type_url = "x/kinds.v1.Everything"
    made.anything.value = inner.SerializeToString()
    found = CODEC.decode(EVERYTHING, made.SerializeToString())["anything"]
    assert (found["@type"], found["anything"]) == ("x/kinds.v1.Everything", UNKNOWN)
    assert found["any_json"] == 5
    assert type(found["any_json"]) is int


@bounded
@given(messages(EVERYTHING))
@example(descriptors().message_class(EVERYTHING)(any_json={"number_value": -0.0}))
def test_nothing_is_lost_and_the_output_fits_its_schema(message: Message) -> None:
    """Any message is written as the schema says, is JSON, and is the same when it is read again."""
    data = message.SerializeToString(deterministic=True)
    value = CODEC.decode(EVERYTHING, data)
    assert compile_schema(OUTPUTS["kinds.v1.Everything"]).violations(value) == []
    again = loads(dumps(value))
    assert compile_schema(OUTPUTS["kinds.v1.Everything"]).violations(again) == []
    assert compile_schema(INPUTS["kinds.v1.Everything"]).violations(again) == []
    read = descriptors().message_class(EVERYTHING).FromString(CODEC.encode(EVERYTHING, again))
    assert read.SerializeToString(deterministic=True) == data


_NOT_SAID = (
    "one can be", "same field", "same key", "range", "too large", "no valid", "base64",
    "no type that", "required",
)  # fmt: skip
"""Faults that a schema cannot tell: of oneofs, of two names, of numbers and times that are texts."""


@bounded
@given(st.data(), st.sampled_from([EVERYTHING, QUERY]))
def test_codec_and_schema_agree(data: st.DataObject, kind: Any) -> None:
    """What one takes the other takes, but for what a schema cannot say."""
    schema = INPUTS[kind.full_name]
    value = data.draw(near(schema))
    checker = Checker(descriptors().pool, {})
    checker.message(kind, value, "")
    fits = compile_schema(schema).violations(value) == []
    if not checker.violations:
        CODEC.encode(kind, value)
        assert fits, "the codec takes what the schema does not"
    elif fits:
        told = [v.description for v in checker.violations if not any(w in v.description for w in _NOT_SAID)]
        assert told == []


@bounded
@given(st.dictionaries(st.sampled_from([field.name for field in EVERYTHING.fields]), JSON, max_size=6))
def test_any_json_is_encoded_or_refused(value: JsonObject) -> None:
    """What the check lets pass never fails in the parser."""
    checker = Checker(descriptors().pool, {})
    checker.message(EVERYTHING, value, "")
    if checker.violations:
        assert faults(value)
    else:
        assert isinstance(CODEC.encode(EVERYTHING, value), bytes)


def test_numbers_of_a_struct_are_those_of_json() -> None:
    """Without a fraction they are integers, as in all payloads; a field that is a double stays one."""
    free = {"five": 5, "deep": [{"six": 6.0}, 2.5, 1e300, None, "7", True]}
    value = {
        "struct_value": free, "any_json": 8, "list_value": [9], "many_json": [10, "x"], "twice": 11,
        "anything": {"@type": "x/google.protobuf.Struct", "value": free}, "inner": {"any_json": free},
    }  # fmt: skip
    made = dumps(there_and_back(value))
    for whole in ("5", "6", "8", "9", "10"):
        assert f"{whole}.0".encode() not in made
    assert b'"twice":11.0' in made
    assert loads(made)["struct_value"]["deep"] == free["deep"]
