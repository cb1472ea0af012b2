"""What a gRPC service can be asked, in which messages: its descriptors, found by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from google.protobuf.descriptor import Descriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet, MethodOptions
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from weft.core.errors import ResourceNotFoundError, ValidationError, Violation
from weft.core.names import closest
from weft.core.reasons import Reason, Rule
from weft.mesh.dynamic._files import FileProto, Files, comments_of, cycle_in, missing_imports, well_known

__all__ = ["MAX_DESCRIPTOR_SET_BYTES", "Method", "ServiceDescriptors"]

MAX_DESCRIPTOR_SET_BYTES: Final = 1024 * 1024
"""Of a FileDescriptorSet that somebody gives."""

_MAX_FILES: Final = 2_000
_MAX_COMPARED: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One RPC of a gRPC service."""

    service: str
    """Full name of its service, such as ``shop.v1.Carts``."""
    name: str
    """Its own name, such as ``GetCart``."""
    input: Descriptor
    """What it takes."""
    output: Descriptor
    """What it answers."""
    client_streaming: bool = False
    """Whether it takes a stream."""
    server_streaming: bool = False
    """Whether it answers with a stream."""
    idempotent: bool = False
    """Whether its options say that a repeat has no further effect."""

    @property
    def full_name(self) -> str:
        """Such as ``shop.v1.Carts/GetCart``."""
        return f"{self.service}/{self.name}"

    @property
    def path(self) -> str:
        """What stands on the wire, such as ``/shop.v1.Carts/GetCart``."""
        return f"/{self.service}/{self.name}"


class ServiceDescriptors:
    """The descriptors of gRPC services, in a pool of their own.

    Made by ``from_set`` of what somebody gives, or by ``from_files`` of what a
    server answered.

    Attributes:
        services: Full names of the services, sorted.
    """

    def __init__(self, files: Files, only: Iterable[str] | None = None) -> None:
        self._files = files
        self._only = None if only is None else frozenset(only)
        self._file_of: dict[str, str] = {}
        self._methods: dict[str, list[Method]] = {}
        self._comments: dict[str, str] | None = None
        self._classes: dict[str, type[Message]] = {}
        for name, file in files.built.items():
            if file.service:
                self._add_services(name)
        self.services: tuple[str, ...] = tuple(sorted(self._file_of))

    def _add_services(self, file: str) -> None:
        for service in self.pool.FindFileByName(file).services_by_name.values():
            if self._only is not None and service.full_name not in self._only:
                continue
            self._file_of[service.full_name] = file
            for method in service.methods:
                self._methods.setdefault(method.name, []).append(_method(method))

    @classmethod
    def from_set(cls, data: bytes, field: str = "descriptor_set") -> ServiceDescriptors:
        """Read a serialized google.protobuf.FileDescriptorSet.

        Raises:
            ValidationError: DESCRIPTORS_INVALID, with everything that is wrong with it.
        """
        files, faults = _parse_set(data)
        faults += [
            f"file {names[0]!r} imports {name!r}, which is missing (protoc has --include_imports)"
            for name, names in missing_imports(files).items()
        ]
        if circle := cycle_in(files):
            faults.append(f"files import each other: {' → '.join(circle[:10])}")
        if not faults:
            built = Files.build(files)
            faults = [f"file {name!r} is not valid: {why}" for name, why in built.problems.items()]
            if not faults:
                return cls(built)
        raise ValidationError([Violation(field, fault, Rule.DESCRIPTORS_INVALID) for fault in faults[:100]])

    @classmethod
    def from_files(cls, files: Mapping[str, FileProto], services: Iterable[str]) -> ServiceDescriptors:
        """Build what can be built of a server's files; see ``problems``.

        Args:
            files: By name.
            services: Those that it serves; a file may declare others.

        Raises:
            ValueError: They import each other in a circle.
        """
        if circle := cycle_in(files):
            raise ValueError(f"its files import each other: {' → '.join(circle[:10])}")
        return cls(Files.build(files), services)

    @property
    def pool(self) -> DescriptorPool:
        """Everything that is known, with the types of Google that are known everywhere."""
        return self._files.pool

    @property
    def problems(self) -> Mapping[str, str]:
        """Files that could not be used, and why."""
        return self._files.problems

    def methods(self, services: Iterable[str] = ()) -> list[Method]:
        """Return the methods of these services, or of all, as they are declared."""
        return [
            _method(method)
            for name in (services or self.services)
            for method in self.pool.FindServiceByName(name).methods
        ]

    def method(self, name: str) -> Method:
        """Find a method.

        Args:
            name: ``shop.v1.Carts/GetCart``, with or without a slash in front, or with
                a dot for the slash; the service's package, or all of the service,
                may be left out where the rest names one method only.

        Raises:
            ResourceNotFoundError: METHOD_NOT_FOUND, with what there is.
        """
        service, short = _split(name)
        every = self._methods.get(short, [])
        found = [method for method in every if method.service == service]
        if not found:
            ending = f".{service}" if service else ""
            found = [method for method in every if method.service.endswith(ending)]
        if len(found) != 1:
            raise _not_found(name, self._hint(name, found or every))
        return found[0]

    def _hint(self, name: str, found: Sequence[Method]) -> str:
        if found:
            names = ", ".join(method.full_name for method in found[:10])
            return f"did you mean {names!r}?" if len(found) == 1 else f"it may be any of {names}"
        every = sorted(method.full_name for methods in self._methods.values() for method in methods)
        known = every if "/" in name.strip("/") or "." in name else sorted(self._methods)
        return closest(name.lstrip("/"), known[:_MAX_COMPARED]) or "there are no methods at all"

    def message_class(self, descriptor: Descriptor) -> type[Message]:
        """Return the class of a message."""
        known = self._classes.get(descriptor.full_name)
        if known is None:
            known = self._classes[descriptor.full_name] = GetMessageClass(descriptor)
        return known

    def comment(self, full_name: str) -> str:
        """Return what the source says about a service, method, message or field; often nothing.

        Servers rarely keep comments; a set made by protoc with
        ``--include_source_info`` has them.
        """
        if self._comments is None:
            self._comments = {}
            for file in self._files.built.values():
                self._comments.update(comments_of(file))
        return self._comments.get(full_name, "")

    def to_descriptor_set(self, services: Iterable[str] = ()) -> bytes:
        """Return a serialized FileDescriptorSet of these services, or of all, and what they import."""
        names = [self._file_of[name] for name in (services or self.services)]
        return FileDescriptorSet(file=self._files.needed_for(names)).SerializeToString()


def _parse_set(data: bytes) -> tuple[dict[str, FileProto], list[str]]:
    """Return the files of a set by name, and what is wrong with the set as such."""
    if len(data) > MAX_DESCRIPTOR_SET_BYTES:
        return {}, [f"{len(data):,} bytes are over the limit of {MAX_DESCRIPTOR_SET_BYTES:,}"]
    try:
        listed = FileDescriptorSet.FromString(data).file
    except DecodeError:
        return {}, ["is no serialized google.protobuf.FileDescriptorSet"]
    if not listed or len(listed) > _MAX_FILES:
        return {}, [f"has {len(listed):,} files" + (f", over {_MAX_FILES:,}" if listed else "")]
    faults: list[str] = []
    files: dict[str, FileProto] = {}
    for number, file in enumerate(listed):
        if not file.name:
            faults.append(f"file {number} has no name")
        elif file.name in files:
            faults.append(f"file {file.name!r} stands there twice")
        files.setdefault(file.name, file)
    if not any(file.service for name, file in files.items() if name not in well_known()):
        faults.append("declares no service")
    return files, faults


def _method(method: MethodDescriptor) -> Method:
    level = method.GetOptions().idempotency_level
    return Method(
        service=method.containing_service.full_name,
        name=method.name,
        input=method.input_type,
        output=method.output_type,
        client_streaming=bool(method.client_streaming),
        server_streaming=bool(method.server_streaming),
        idempotent=level in {MethodOptions.NO_SIDE_EFFECTS, MethodOptions.IDEMPOTENT},
    )


def _split(name: str) -> tuple[str, str]:
    """Split into service and method: at the slash, else at the last dot."""
    text = name.removeprefix("/")
    service, _, method = text.rpartition("/") if "/" in text else text.rpartition(".")
    return service, method


def _not_found(name: str, hint: str) -> ResourceNotFoundError:
    shown = name if len(name) <= 200 else name[:199] + "…"
    return ResourceNotFoundError(
        "method",
        shown,
        message=f"no method {shown!r}: {hint}",
        reason=Reason.METHOD_NOT_FOUND,
        metadata={"method": shown, "hint": hint},
    )
