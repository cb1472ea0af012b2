"""JSON objects in memory, at rest and on the wire: the same ones, with one set of limits."""

from __future__ import annotations

import json
import math
import tracemalloc
from typing import Any

import pytest
from google.protobuf import struct_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.api.common.v1 import payload_pb2
from weft.core.errors import ValidationError
from weft.core.payload import (
    MAX_DEPTH,
    MAX_PAYLOAD_BYTES,
    MAX_STRUCT_BYTES,
    JsonObject,
    dumps,
    from_payload,
    from_struct,
    kind_of,
    loads,
    prefer,
    to_payload,
    to_struct,
)
from weft.core.reasons import Rule

calmly = settings(deadline=None)
"""A machine that is busy is no fault."""

JSON = payload_pb2.PAYLOAD_KIND_JSON
STRUCT = payload_pb2.PAYLOAD_KIND_STRUCT
UNSAID = payload_pb2.PAYLOAD_KIND_UNSPECIFIED

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
numbers = st.one_of(
    st.integers(-(2**53) + 1, 2**53 - 1), st.floats(allow_nan=False, allow_infinity=False, width=64)
)
leaves = st.one_of(st.none(), st.booleans(), numbers, names)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=15,
)
objects = st.dictionaries(names, values, max_size=4)


def rule_of(caught: pytest.ExceptionInfo[ValidationError]) -> tuple[str, str]:
    (violation,) = caught.value.violations
    return violation.field, violation.reason


def nest(depth: int, *, lists: bool = False) -> JsonObject:
    value: Any = 1
    for _ in range(depth - 1):
        value = [value] if lists else {"a": value}
    return {"a": value}


def same(one: Any, other: Any) -> bool:
    """Compare as JSON does: 1 and 1.0 are one number, true is none."""
    return json.dumps(plain(one), sort_keys=True) == json.dumps(plain(other), sort_keys=True)


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


@calmly
@given(objects)
def test_json_text_comes_back_as_it_was(value: JsonObject) -> None:
    """Through text, and through a Payload of the kind JSON: exactly."""
    assert loads(dumps(value)) == value
    assert from_payload(to_payload(value, JSON)) == value
    assert from_payload(to_payload(dumps(value), JSON)) == value


@calmly
@given(objects)
def test_a_struct_comes_back_as_the_same_json(value: JsonObject) -> None:
    """Also after the wire; numbers without a fraction are integers, as JSON has one kind of number."""
    payload = payload_pb2.Payload.FromString(to_payload(value, STRUCT).SerializeToString())
    assert same(from_payload(payload), value)
    assert same(from_payload(to_payload(dumps(value), STRUCT)), value)


@calmly
@given(objects)
def test_both_kinds_say_the_same(value: JsonObject) -> None:
    """A reader sees no difference but that of 1 and 1.0."""
    assert same(from_payload(to_payload(value, JSON)), from_payload(to_payload(value, STRUCT)))


@pytest.mark.parametrize("kind", [JSON, STRUCT])
def test_minus_zero_keeps_its_sign(kind: payload_pb2.PayloadKind.ValueType) -> None:
    """As an integer it would have none."""
    assert str(from_payload(to_payload({"n": -0.0}, kind))["n"]) == "-0.0"


@calmly
@given(st.integers(2**53, 2**63))
def test_integers_beyond_2_to_53_are_exact_as_text_and_rounded_in_a_struct(number: int) -> None:
    """Struct has only doubles; rounding is all that it does."""
    assert from_payload(to_payload({"n": number}, JSON)) == {"n": number}
    assert from_payload(to_payload({"n": number}, STRUCT)) == {"n": float(number)}


@pytest.mark.parametrize("lists", [False, True], ids=["objects", "lists"])
@pytest.mark.parametrize("kind", [JSON, STRUCT])
def test_32_levels_pass_and_33_do_not(kind: payload_pb2.PayloadKind.ValueType, *, lists: bool) -> None:
    """In both kinds, for objects and lists alike; the level of the whole counts as one."""
    deep = nest(MAX_DEPTH, lists=lists)
    wire = payload_pb2.Payload.FromString(to_payload(deep, kind).SerializeToString())
    assert from_payload(wire) == deep
    with pytest.raises(ValidationError) as caught:
        from_payload(to_payload(nest(MAX_DEPTH + 1, lists=lists), kind), "input")
    assert rule_of(caught) == ("input", Rule.PAYLOAD_TOO_DEEP)


def test_brackets_in_strings_are_no_levels() -> None:
    """Depth is counted without parsing, and not fooled by text, escapes and quotes."""
    value = {"a": "[{" * 100, '[["': '\\"[[[', "b\\": ["\\", '"' * 50 + "{" * 50]}
    assert loads(dumps(value)) == value


@pytest.mark.parametrize(
    "text",
    [b"{" * 100_000, b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 50_000 + b"1" + b"}" * 50_000],
    ids=["open", "lists", "objects"],
)
def test_no_depth_reaches_the_parser(text: bytes) -> None:
    """Text of any depth is refused, and never overflows a stack."""
    with pytest.raises(ValidationError) as caught:
        loads(text, "f")
    assert rule_of(caught) == ("f", Rule.PAYLOAD_TOO_DEEP)


@pytest.mark.parametrize(
    "text",
    [
        b"[]",
        b"1",
        b'"a"',
        b"true",
        b"null",
        b"{",
        b"{}{}",
        b"{'a': 1}",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": "\xff"}',
        b'{"a": "\\ud800"}',
        b"\xef\xbb\xbf{}",
        b"\x00",
        b" ",
        b'{"a": 01}',
        b'{"a": 1,}',
    ],
)
def test_what_is_no_json_object_is_refused(text: bytes) -> None:
    """With the field and the rule, whatever the parser says."""
    with pytest.raises(ValidationError) as caught:
        loads(text, "input")
    assert rule_of(caught) == ("input", Rule.PAYLOAD_INVALID)


@calmly
@given(st.binary(max_size=60))
def test_any_bytes_are_an_object_or_a_fault(text: bytes) -> None:
    """Nothing but ValidationError is raised."""
    try:
        value = loads(text)
    except ValidationError:
        return
    assert json.loads(text or b"{}") == value


def test_the_size_is_that_of_the_text() -> None:
    """1 MiB passes, a byte more does not; the limit can be set."""
    fits = {"x": "x" * (MAX_PAYLOAD_BYTES - 8)}
    assert len(dumps(fits)) == MAX_PAYLOAD_BYTES
    over = {"x": "x" * (MAX_PAYLOAD_BYTES - 7)}
    for read in (
        lambda: dumps(over, "f"),
        lambda: loads(json.dumps(over, separators=(",", ":")).encode(), "f"),
        lambda: from_payload(to_payload(over, STRUCT), "f"),
        lambda: dumps({"x": "12345"}, "f", limit=12),
        lambda: loads(b'{"x":"12345"}', "f", limit=12),
    ):
        with pytest.raises(ValidationError) as caught:
            read()
        assert rule_of(caught) == ("f", Rule.PAYLOAD_TOO_LARGE)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_in_json_is_refused(number: float) -> None:
    """In a Struct, and on the way to text, at any depth."""
    struct = struct_pb2.Struct()
    struct.fields["a"].list_value.values.add().number_value = number
    for read in (
        lambda: from_struct(struct, "f"),
        lambda: from_payload(payload_pb2.Payload(struct=struct), "f"),
        lambda: dumps({"a": [{"b": number}]}, "f"),
    ):
        with pytest.raises(ValidationError) as caught:
            read()
        assert rule_of(caught) == ("f", Rule.PAYLOAD_INVALID)


@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, "\ud800", 2**70, b"bytes"],
    ids=["object", "set", "surrogate", "too long an integer", "bytes"],
)
def test_what_json_cannot_say_is_refused(value: object) -> None:
    """With ValidationError, whatever the writer raises."""
    with pytest.raises(ValidationError) as caught:
        dumps({"a": value}, "f")
    assert rule_of(caught) == ("f", Rule.PAYLOAD_INVALID)


def test_an_unset_payload_is_the_empty_object() -> None:
    """So is empty text, and a Value of no kind is null."""
    assert from_payload(payload_pb2.Payload()) == {}
    assert from_payload(payload_pb2.Payload(json=b"")) == {}
    struct = struct_pb2.Struct()
    struct.fields["a"].SetInParent()
    assert from_struct(struct) == {"a": None}


def test_answers_come_in_the_kind_of_the_first_payload_that_is_set() -> None:
    """Else in the kind asked for, else as Struct."""
    json_text, struct, unset = to_payload({}, JSON), to_payload({}, STRUCT), payload_pb2.Payload()
    assert kind_of(unset, json_text, struct) == JSON
    assert kind_of(unset, struct, json_text, asked=JSON) == STRUCT
    assert kind_of(unset, asked=JSON) == JSON
    assert (kind_of(unset), kind_of(), prefer(UNSAID), prefer(JSON)) == (STRUCT, STRUCT, STRUCT, JSON)


def test_a_struct_keeps_types_apart() -> None:
    """True is not 1, and an integer not a float, after a round trip."""
    value: JsonObject = {
        "bool": True,
        "int": 1,
        "float": 1.5,
        "null": None,
        "text": "1",
        "list": [],
        "map": {},
    }
    back = from_struct(to_struct(value))
    assert back == value
    assert {name: type(item) for name, item in back.items()} == {k: type(v) for k, v in value.items()}


@pytest.mark.parametrize("as_text", [False, True])
def test_what_is_too_large_as_a_struct_is_carried_as_text(*, as_text: bool) -> None:
    """A megabyte of numbers is five as a Struct, which no reader could receive."""
    value = {"l": [1] * 500_000}
    text = dumps(value)
    payload = to_payload(text if as_text else value, STRUCT)
    assert payload.WhichOneof("kind") == "json"
    assert payload.json == text
    assert payload.ByteSize() < MAX_STRUCT_BYTES
    assert from_payload(payload) == value


def test_large_texts_stay_in_the_kind_asked_for() -> None:
    """Only what grows beyond 1.5 MiB changes its form."""
    for value in ({"s": "x" * 1_000_000}, {"l": [1] * 100_000}):
        assert to_payload(value, STRUCT).WhichOneof("kind") == "struct"


def test_integers_are_exact_within_64_bits() -> None:
    """Beyond, they are read as doubles; of two members with one name the last one counts."""
    exact = b'{"a":18446744073709551615,"b":-9223372036854775808}'
    assert dumps(loads(exact)) == exact
    assert loads(b'{"a":123456789012345678901,"a":123456789012345678901}') == {"a": 1.2345678901234568e20}
    assert loads(b'{"a":1,"a":2}') == {"a": 2}


def test_what_is_written_takes_no_more_memory_than_it_is_long() -> None:
    """An execution keeps many small texts for long; orjson by itself leaves each in a buffer of 4 KiB."""
    tracemalloc.start()
    try:
        kept = [dumps({"n": number}) for number in range(1_000)]
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken / len(kept) < 200


def test_bytes_that_are_no_text_are_told_as_that() -> None:
    """Such as of a provider that writes Latin-1: with where it begins, and not in the words of a parser."""
    for data, where in ((b'{"name": "Zo\xeb"}', 12), (b"\xff", 0), (b'{"a": "\xed\xa0\x80"}', 7)):
        with pytest.raises(ValidationError) as caught:
            loads(data, "input")
        assert caught.value.message == f"input: is not JSON: it is no UTF-8 from byte {where} on"
