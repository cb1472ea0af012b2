"""Descriptors: read from a set or a server's files, found by name, given back."""

from __future__ import annotations

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.dynamic import descriptor_set, descriptors, files
from weft.core.errors import ResourceNotFoundError, ValidationError
from weft.core.reasons import Reason, Rule
from weft.mesh.dynamic.descriptors import MAX_DESCRIPTOR_SET_BYTES, ServiceDescriptors


def faults(data: bytes) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        ServiceDescriptors.from_set(data, "set")
    assert {(v.field, v.reason) for v in caught.value.violations} == {("set", Rule.DESCRIPTORS_INVALID)}
    return [violation.description for violation in caught.value.violations]


def a_set(*listed: FileDescriptorProto) -> bytes:
    return FileDescriptorSet(file=listed).SerializeToString()


def service(name: str, *imports: str) -> FileDescriptorProto:
    file = FileDescriptorProto(name=name, package="a", syntax="proto3", dependency=imports)
    file.service.add(name="S")
    return file


def test_services_and_methods_are_listed() -> None:
    """Every service of every file, with the shapes of its methods and what their options say."""
    assert descriptors().services == ("kinds.v1.Teller", "old.v1.Carts", "shop.Carts")
    shapes = {
        m.name: (m.client_streaming, m.server_streaming, m.idempotent)
        for m in descriptors().methods(["kinds.v1.Teller"])
    }
    assert shapes["Echo"] == (False, False, True)
    assert shapes["Count"] == (False, True, False)
    assert shapes["Gather"] == (True, False, False)
    assert shapes["Chat"] == (True, True, True)


@pytest.mark.parametrize(
    "name", ["kinds.v1.Teller/Echo", "/kinds.v1.Teller/Echo", "kinds.v1.Teller.Echo", "Teller/Echo", "Echo"]
)
def test_a_method_is_found_by_any_of_its_names(name: str) -> None:
    """With a slash, with a dot, and shorter where that is enough."""
    assert descriptors().method(name).path == "/kinds.v1.Teller/Echo"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("kinds.v1.Teller/Ecko", "did you mean 'kinds.v1.Teller/Echo'?"),
        ("Ecko", "did you mean 'Echo'?"),
        ("Count", "it may be any of kinds.v1.Teller/Count, old.v1.Carts/Count"),
        ("nobody.Here/Echo", "did you mean 'kinds.v1.Teller/Echo'?"),
        ("", "known: Ask, Chat"),
        ("/", "known: Ask, Chat"),
        ("x" * 10_000, "known: Ask, Chat"),
    ],
)
def test_an_unknown_method_is_answered_with_close_names(name: str, hint: str) -> None:
    """METHOD_NOT_FOUND, also when a short name is one of several."""
    with pytest.raises(ResourceNotFoundError) as caught:
        descriptors().method(name)
    assert caught.value.reason == Reason.METHOD_NOT_FOUND
    assert hint in caught.value.message
    assert len(caught.value.message) < 700


def test_a_part_of_a_set_is_given_back_alone() -> None:
    """Only the files that the chosen services need; it can be read again."""
    data = descriptors().to_descriptor_set(["old.v1.Carts"])
    names = [file.name for file in FileDescriptorSet.FromString(data).file]
    assert names == ["shop/shared.proto", "old.proto"]
    again = ServiceDescriptors.from_set(data)
    assert again.method("Ask").input.full_name == "old.v1.Query"
    whole = ServiceDescriptors.from_set(descriptors().to_descriptor_set())
    assert whole.services == descriptors().services


def test_the_source_is_quoted() -> None:
    """Comments of services, methods, messages, fields and members of oneofs."""
    known = descriptors()
    assert known.comment("kinds.v1.Teller") == "Tells things."
    assert known.comment("kinds.v1.Teller.Echo") == "Gives back what it gets."
    assert known.comment("kinds.v1.Everything.small") == "An integer of 32 bits."
    assert known.comment("kinds.v1.Everything.by_text") == "Take a text."
    assert not known.comment("kinds.v1.Everything.large")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "has 0 files"),
        (b"\xff\xff", "is no serialized google.protobuf.FileDescriptorSet"),
        (b"x" * (MAX_DESCRIPTOR_SET_BYTES + 1), "over the limit"),
        (a_set(FileDescriptorProto(name="a.proto")), "declares no service"),
        (a_set(service("")), "file 0 has no name"),
    ],
    ids=["empty", "garbage", "huge", "no service", "no name"],
)
def test_what_is_no_set_is_refused(data: bytes, said: str) -> None:
    """With the reason, and without trying to use it."""
    assert said in faults(data)[0]


def test_every_fault_of_a_set_is_named_at_once() -> None:
    """Files that stand there twice, imports that are missing, circles."""
    data = a_set(
        service("a.proto", "b.proto", "gone.proto"),
        service("b.proto", "a.proto"),
        service("b.proto"),
        service("c.proto", "lost.proto"),
    )
    found = faults(data)
    assert len(found) == 4
    assert "file 'b.proto' stands there twice" in found
    assert any("'gone.proto', which is missing" in text for text in found)
    assert any("'lost.proto', which is missing" in text for text in found)
    assert any("a.proto → b.proto → a.proto" in text for text in found)


def test_files_that_do_not_fit_are_named() -> None:
    """Such as a field of a type that is nowhere; others that import the file follow from that."""
    bad = service("bad.proto")
    field = bad.message_type.add(name="M").field.add(name="f", number=1, type_name=".a.Nope", label=1)
    field.type = field.TYPE_MESSAGE
    found = faults(a_set(bad, service("user.proto", "bad.proto")))
    assert "'.a.Nope'" in found[0]
    assert found[1] == "file 'user.proto' is not valid: imports 'bad.proto', which is not valid"


def test_a_circle_through_files_of_google_is_found() -> None:
    """A set may bring its own any.proto, and other files of Google that are supplied import that."""
    any_proto = FileDescriptorProto(name="google/protobuf/any.proto", dependency=["x.proto"])
    data = a_set(any_proto, service("x.proto", "google/protobuf/api.proto"))
    assert any("import each other" in text for text in faults(data))


def test_types_of_google_are_supplied() -> None:
    """A set made without --include_imports works when it needs nothing else."""
    lean = [file for name, file in files().items() if not name.startswith("google/")]
    assert ServiceDescriptors.from_set(a_set(*lean)).services == descriptors().services


def test_of_a_servers_files_what_can_be_used_is_used() -> None:
    """An import that is nowhere may have brought options only; a file that needs it is left out."""
    given_files = files()
    given_files["good.proto"] = service("good.proto", "options.proto")
    del given_files["shop/shared.proto"]
    wanted = ("a.S", "old.v1.Carts", "kinds.v1.Teller")
    found = ServiceDescriptors.from_files(given_files, wanted)
    assert found.services == ("a.S", "kinds.v1.Teller")
    assert list(found.problems) == ["old.proto"]
    again = ServiceDescriptors.from_set(found.to_descriptor_set())
    assert again.services == ("a.S", "kinds.v1.Teller")


def is_read_or_refused(data: bytes) -> bool:
    try:
        return bool(ServiceDescriptors.from_set(data).services)
    except ValidationError as error:
        return bool(error.violations)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Never another error."""
    assert is_read_or_refused(data)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=8))
def test_a_damaged_set_is_read_or_refused(place: int, damage: bytes) -> None:
    """Never another error, nor a crash of what is below."""
    whole = bytearray(descriptor_set())
    place %= len(whole)
    whole[place : place + len(damage)] = damage
    assert is_read_or_refused(bytes(whole))
