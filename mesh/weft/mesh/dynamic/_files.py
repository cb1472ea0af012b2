"""Files of descriptors: parsed, completed, put in order, and built into a pool of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, TypeAlias

from google.protobuf import (
    any_pb2,
    api_pb2,
    descriptor_pb2,
    duration_pb2,
    empty_pb2,
    field_mask_pb2,
    source_context_pb2,
    struct_pb2,
    timestamp_pb2,
    type_pb2,
    wrappers_pb2,
)
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

__all__ = ["FileProto", "Files", "comments_of", "cycle_in", "missing_imports", "well_known"]

FileProto: TypeAlias = descriptor_pb2.FileDescriptorProto

_SUPPLIED: Final[tuple[Any, ...]] = (
    any_pb2,
    descriptor_pb2,
    duration_pb2,
    empty_pb2,
    field_mask_pb2,
    source_context_pb2,
    struct_pb2,
    timestamp_pb2,
    type_pb2,
    wrappers_pb2,
    api_pb2,
    error_details_pb2,
    status_pb2,
)
"""What nearly every service imports, or packs into its Any; none of them imports a later one."""

_MAX_COMMENT: Final = 2_000


@cache
def well_known() -> Mapping[str, FileProto]:
    """Return the files of Google that are supplied where they are missing, by name."""
    found: dict[str, FileProto] = {}
    for module in _SUPPLIED:
        found[module.DESCRIPTOR.name] = file = FileProto()
        module.DESCRIPTOR.CopyToProto(file)
    return found


def missing_imports(files: Mapping[str, FileProto]) -> dict[str, list[str]]:
    """Return every file that is imported but neither there nor supplied, with who imports it."""
    found: dict[str, list[str]] = {}
    for name, file in files.items():
        for imported in file.dependency:
            if imported not in files and imported not in well_known():
                found.setdefault(imported, []).append(name)
    return found


def cycle_in(files: Mapping[str, FileProto]) -> list[str]:
    """Return files that import each other in a circle, if there are any."""
    every = {**well_known(), **files}
    done: set[str] = set()
    for start, file in every.items():
        chain = {start: iter(file.dependency)} if start not in done else {}
        while chain:
            name, imports = next(reversed(chain.items()))
            imported = next(imports, None)
            if imported is None:
                done.add(name)
                del chain[name]
            elif imported in chain:
                names = list(chain)
                return [*names[names.index(imported) :], imported]
            elif imported in every and imported not in done:
                chain[imported] = iter(every[imported].dependency)
    return []


def _in_order(files: Mapping[str, FileProto]) -> list[str]:
    """Return the names, each after all that it imports; there is no circle."""
    order: dict[str, None] = {}
    pending = list(files)[::-1]
    while pending:
        name = pending[-1]
        missing = [i for i in files[name].dependency if i in files and i not in order]
        if name in order or not missing:
            order[pending.pop()] = None
        else:
            pending.extend(missing)
    return list(order)


@dataclass(slots=True)
class Files:
    """Files that were built into a pool, as far as they could be.

    Attributes:
        pool: Of these files alone, and of what is well known.
        built: Those that are in the pool, each after all that it imports.
        problems: Why a file could not be built, by its name.
    """

    pool: DescriptorPool = field(default_factory=DescriptorPool)
    built: dict[str, FileProto] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    @classmethod
    def build(cls, files: Mapping[str, FileProto]) -> Files:
        """Build files that form no circle; an import that is nowhere counts as an empty file.

        Often such an import brings only options, which nothing here needs.
        """
        empty = {name: FileProto(name=name, syntax="proto3") for name in missing_imports(files)}
        every = {**well_known(), **empty, **files}
        made = cls()
        for name in _in_order(every):
            made._add(name, every[name])
        return made

    def _add(self, name: str, file: FileProto) -> None:
        lacking = [imported for imported in file.dependency if imported in self.problems]
        if lacking:
            self.problems[name] = f"imports {lacking[0]!r}, which is not valid"
            return
        try:
            self.pool.AddSerializedFile(file.SerializeToString())
        except (TypeError, ValueError) as error:
            self.problems[name] = str(error).rpartition("descriptor pool: ")[2][:300]
        else:
            self.built[name] = file

    def needed_for(self, names: Sequence[str]) -> list[FileProto]:
        """Return the files of these names with all that they import, in order."""
        needed: set[str] = set()
        pending = list(names)
        while pending:
            name = pending.pop()
            if name not in needed:
                needed.add(name)
                pending.extend(self.built[name].dependency)
        return [file for name, file in self.built.items() if name in needed]


_PARTS: Final[Mapping[type[Any], Mapping[int, str]]] = {
    FileProto: {4: "message_type", 5: "enum_type", 6: "service"},
    descriptor_pb2.DescriptorProto: {2: "field", 3: "nested_type", 4: "enum_type", 8: "oneof_decl"},
    descriptor_pb2.ServiceDescriptorProto: {2: "method"},
}
"""What the numbers of a source location's path mean."""


def comments_of(file: FileProto) -> Iterator[tuple[str, str]]:
    """Yield the full name of everything that has a comment, with the comment."""
    for location in file.source_code_info.location:
        text = (location.leading_comments or location.trailing_comments).strip()
        if text and (name := _name_at(file, location.path)):
            yield name, "\n".join(line.strip() for line in text.splitlines())[:_MAX_COMMENT]


def _name_at(file: FileProto, path: Sequence[int]) -> str:
    """Follow a path such as [4, 0, 2, 1]; empty when it leads to nothing that has a name of its own."""
    names = [file.package] if file.package else []
    node: Message = file
    for kind, index in zip(path[::2], path[1::2], strict=False):
        part = _PARTS.get(type(node), {}).get(kind)
        if part is None or not 0 <= index < len(getattr(node, part)):
            return ""
        node = getattr(node, part)[index]
        names.append(getattr(node, "name", ""))
    return ".".join(names) if len(path) % 2 == 0 and len(path) > 0 else ""
