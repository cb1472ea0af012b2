"""Schemas and actions of methods: accepted by the registry's own gate, however large the messages."""

from __future__ import annotations

import time
from typing import Any

import orjson
import pytest
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet

from tests.support.dynamic import descriptors
from weft.core.errors import PreconditionError, ValidationError
from weft.core.reasons import Reason, Rule
from weft.core.schema import compile_schema
from weft.mesh.dynamic.actions import derive_actions
from weft.mesh.dynamic.descriptors import ServiceDescriptors
from weft.mesh.dynamic.effort import Effort
from weft.mesh.dynamic.schema import input_schema, output_schema

KNOWN = descriptors()
EVERYTHING = KNOWN.method("Echo").input


def wide(fields: int, messages: int) -> ServiceDescriptors:
    """Messages of many fields, each of which has every message as a field."""
    file = FileDescriptorProto(name="wide.proto", package="w", syntax="proto3")
    for number in range(messages):
        message = file.message_type.add(name=f"M{number}")
        for index in range(fields):
            field = message.field.add(name=f"a_rather_long_name_{index}", number=index + 1, label=1)
            field.type = FieldDescriptorProto.TYPE_INT32
        for index in range(messages):
            field = message.field.add(name=f"m{index}", number=fields + index + 1, label=1)
            field.type = FieldDescriptorProto.TYPE_MESSAGE
            field.type_name = f".w.M{index}"
    service = file.service.add(name="S")
    for number in range(min(messages, 250)):
        service.method.add(name=f"Call{number}", input_type=f".w.M{number}", output_type=".w.M0")
    return ServiceDescriptors.from_set(FileDescriptorSet(file=[file]).SerializeToString())


def test_a_field_says_what_it_takes() -> None:
    """Types, bounds, names of enums, comments, and the other names of a oneof."""
    properties = input_schema(KNOWN, EVERYTHING)["properties"]
    small = properties["small"]
    assert small["description"] == "An integer of 32 bits."
    assert (small["minimum"], small["maximum"]) == (-(2**31), 2**31 - 1)
    assert properties["color"]["anyOf"][0] == {"enum": ["COLOR_UNSPECIFIED", "RED", "GREEN"]}
    assert properties["by_text"]["description"] == "One of by_text, by_leaf, by_number. Take a text."
    assert properties["byText"] == {"$ref": "#/properties/by_text"}
    assert properties["leaves"]["items"] == {"$ref": "#/$defs/kinds.v1.Leaf"}


def test_output_requires_what_is_always_there() -> None:
    """The fields without presence, by their own names only."""
    schema = output_schema(KNOWN, EVERYTHING)
    assert {"small", "leaves", "labels"} <= set(schema["required"])
    assert not {"maybe_text", "inner", "by_text"} & set(schema["required"])
    assert "byText" not in schema["properties"]
    assert schema["properties"]["small"]["type"] == "integer"
    assert schema["properties"]["large"]["type"] == ["integer", "string"]


def test_messages_that_contain_themselves_are_referred_to() -> None:
    """Directly, through another message, and below a list of requests."""
    grow = KNOWN.method("Grow")
    tree: Any = {"id": "a", "children": [{"id": "b", "children": []}]}
    assert compile_schema(input_schema(KNOWN, grow.input)).violations(tree) == []
    listed = compile_schema(input_schema(KNOWN, grow.input, stream=True))
    assert listed.violations({"requests": [tree, tree]}) == []
    assert listed.violations({"requests": [{"children": [{"idd": 1}]}]})
    assert listed.violations({})


@pytest.mark.parametrize(("fields", "messages"), [(5, 3), (40, 12), (3, 60), (900, 2), (3_000, 1)])
def test_too_large_messages_say_less(fields: int, messages: int) -> None:
    """Every schema passes the gate, in time, and none refuses what the method takes."""
    known = wide(fields, messages)
    started = time.process_time()
    for make in (input_schema, output_schema):
        schema = compile_schema(make(known, known.method("Call0").input))
        value = {f"a_rather_long_name_{n}": n for n in range(fields)}
        assert schema.violations(value) == []
        assert schema.properties or fields > 500
    assert time.process_time() - started < 5


def test_a_small_message_keeps_its_details() -> None:
    """Degrading is for what is too large only."""
    known = wide(5, 3)
    assert set(input_schema(known, known.method("Call0").input)["$defs"]) == {"w.M1", "w.M2"}


def test_actions_are_derived_from_methods() -> None:
    """With unique names, comments, schemas, and whether a repeat is harmless."""
    actions = {action.name: action for action in derive_actions(KNOWN)}
    assert set(actions) == {
        "Echo", "Teller.Count", "Gather", "Chat", "Now", "Fail", "Grow", "old.v1.Carts.Count", "Ask", "Get"
    } - {"old.v1.Carts.Count"} | {"Carts.Count"}  # fmt: skip
    echo = actions["Echo"]
    assert (echo.grpc_method, echo.idempotent) == ("kinds.v1.Teller/Echo", True)
    assert echo.description == "Gives back what it gets."
    assert actions["Gather"].input_schema is not None
    assert actions["Gather"].input_schema["required"] == ["requests"]
    assert actions["Teller.Count"].output_schema is not None
    assert actions["Teller.Count"].output_schema["required"] == ["responses"]
    for action in actions.values():
        compile_schema(action.input_schema or {})
        compile_schema(action.output_schema or {})


def service(file: FileDescriptorProto, name: str, *methods: str) -> None:
    made = file.service.add(name=name)
    for method in methods:
        made.method.add(name=method, input_type=".M", output_type=".M")


def files_with(*packages: str, methods: tuple[str, ...] = ("Get",)) -> ServiceDescriptors:
    base = FileDescriptorProto(name="m.proto", syntax="proto3")
    base.message_type.add(name="M")
    listed = [base]
    for package in packages:
        listed.append(FileDescriptorProto(name=f"{package}.proto", package=package, dependency=["m.proto"]))
        service(listed[-1], "Carts", *methods)
    return ServiceDescriptors.from_set(FileDescriptorSet(file=listed).SerializeToString())


def test_two_versions_of_a_service_have_names_apart() -> None:
    """Where the short names are the same, the full ones are taken; chosen alone, the short ones."""
    known = files_with("shop.v1", "shop.v2")
    assert [a.name for a in derive_actions(known)] == ["shop.v1.Carts.Get", "shop.v2.Carts.Get"]
    assert [a.name for a in derive_actions(known, ["shop.v2.Carts"])] == ["Get"]


def test_names_that_no_action_may_have_are_changed() -> None:
    """An underscore in front, and more characters than a name has."""
    names = [a.name for a in derive_actions(files_with("a", methods=("_Get", "G" * 300)))]
    assert names[0] == "m_Get"
    assert len(names[1]) == 128


def test_only_what_can_be_called_becomes_an_action() -> None:
    """Services of the infrastructure and of Google are left out, unless they are named."""
    known = files_with("google.longrunning", "shop.v1")
    assert [a.grpc_method for a in derive_actions(known)] == ["shop.v1.Carts/Get"]
    assert derive_actions(known, ["google.longrunning.Carts"])
    with pytest.raises(PreconditionError) as caught:
        derive_actions(files_with("google.longrunning"))
    assert caught.value.reason == Reason.DESCRIPTORS_UNAVAILABLE


def test_services_that_are_not_there_are_named() -> None:
    """All of them, with close names."""
    with pytest.raises(ValidationError) as caught:
        derive_actions(KNOWN, ["kinds.v1.Teler", "old.v1.Carts", "nobody"])
    assert [(v.field, v.reason) for v in caught.value.violations] == [
        ("grpc_services[0]", Rule.SERVICE_UNKNOWN),
        ("grpc_services[2]", Rule.SERVICE_UNKNOWN),
    ]
    assert "did you mean 'kinds.v1.Teller'?" in caught.value.message


def test_too_many_methods_are_refused() -> None:
    """With what to do: name fewer services."""
    known = files_with("a", methods=tuple(f"Get{number}" for number in range(257)))
    with pytest.raises(ValidationError, match="257 methods are over the limit of 256 actions"):
        derive_actions(known)


def test_all_schemas_of_a_service_have_one_bound() -> None:
    """A small descriptor set of many messages that name each other takes seconds, not minutes."""
    effort = Effort()
    before = time.process_time()
    actions = derive_actions(wide(20, 120), effort=effort)
    assert time.process_time() - before < 10
    assert len(actions) == 120
    assert actions[0].output_schema != {"type": "object"}
    assert effort.left < Effort().left


def test_nobody_waits_for_schemas_that_are_not_wanted_any_more() -> None:
    """Without effort left, every schema says only that there is an object."""
    actions = derive_actions(wide(20, 120), effort=Effort(0))
    assert {str(action.input_schema) for action in actions} == {str({"type": "object"})}


def test_a_service_with_its_schemas_fits_into_a_message_of_grpc() -> None:
    """4 MiB, descriptors included: those that would be too much say only that there is an object."""
    actions = derive_actions(wide(100, 1))
    assert actions[0].input_schema != {"type": "object"}
    file = FileDescriptorProto(name="many.proto", package="w", syntax="proto3")
    message = file.message_type.add(name="M")
    for index in range(150):
        field = message.field.add(name=f"a_rather_long_name_{index}", number=index + 1, label=1)
        field.type = FieldDescriptorProto.TYPE_INT32
    service = file.service.add(name="S")
    for number in range(250):
        service.method.add(name=f"Call{number}", input_type=".w.M", output_type=".w.M")
    data = FileDescriptorSet(file=[file]).SerializeToString()
    many = derive_actions(ServiceDescriptors.from_set(data))
    sizes = [len(orjson.dumps(it)) for action in many for it in (action.input_schema, action.output_schema)]
    assert sum(sizes) < 2.1 * 1024 * 1024
    assert many[0].input_schema != {"type": "object"}
