"""JSON Schemas from Python types, by way of pydantic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

from pydantic import TypeAdapter
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, JsonSchemaWarningKind
from pydantic_core import core_schema

from weft.core.errors import ValidationError
from weft.core.payload import JsonObject
from weft.core.schema import compile_schema

__all__ = ["Mode", "adapter_for", "describes_object", "schema_of"]

Mode = Literal["validation", "serialization"]


class _PlainJsonSchema(GenerateJsonSchema):
    """Leaves out the titles that only repeat the name of a field or class."""

    ignored_warning_kinds: set[JsonSchemaWarningKind] = {  # noqa: RUF012 - pydantic declares it so
        "skipped-choice",
        "non-serializable-default",
    }

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002 - pydantic's own signature
        return False

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        return _untitled(super().model_schema(schema), schema["cls"])

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> JsonSchemaValue:
        return _untitled(super().dataclass_schema(schema), schema["cls"])

    def typed_dict_schema(self, schema: core_schema.TypedDictSchema) -> JsonSchemaValue:
        return _untitled(super().typed_dict_schema(schema), schema.get("cls"))

    def field_is_required(
        self,
        field: core_schema.ModelField | core_schema.DataclassField | core_schema.TypedDictField,
        total: bool,  # noqa: FBT001 - pydantic's own signature
    ) -> bool:
        """Say that a field with a default is always written, as it is."""
        if self.mode == "serialization" and field["type"] != "typed-dict-field":
            return field.get("serialization_exclude_if") is None
        return super().field_is_required(field, total)


def _untitled(schema: JsonSchemaValue, cls: type[Any] | None) -> JsonSchemaValue:
    if cls is not None and schema.get("title") == cls.__name__:
        del schema["title"]
    return schema


def adapter_for(annotation: object, where: str) -> TypeAdapter[Any]:
    """Return what reads and writes values of a type.

    Raises:
        TypeError: pydantic has no form for the type.
    """
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(cast("Any", annotation))
        adapter.rebuild(raise_errors=True)
    except (PydanticUserError, PydanticUndefinedAnnotation) as error:
        raise TypeError(f"{where}: {first_paragraph(error)}") from error
    return adapter


def schema_of(adapter: TypeAdapter[Any], mode: Mode, where: str) -> JsonObject:
    """Return the JSON Schema of a type, checked as the registry will check it.

    Raises:
        TypeError: The type has no JSON Schema, or one that the registry refuses.
    """
    try:
        schema = adapter.json_schema(schema_generator=_PlainJsonSchema, mode=mode)
        compile_schema(schema)
    except PydanticUserError as error:
        raise TypeError(f"{where}: {first_paragraph(error)}") from error
    except ValidationError as error:
        raise TypeError(f"{where}: its JSON Schema {error}") from error
    for name, definition in schema.get("$defs", {}).items():
        if definition.get("title") == name:
            del definition["title"]
    return schema


def first_paragraph(error: Exception) -> str:
    """Return what pydantic says, without its links and hints."""
    return str(error).split("\n\n", 1)[0].rstrip(".")


def describes_object(schema: Mapping[str, Any]) -> bool:
    """Tell whether a schema takes objects only."""
    return _is_object(schema, schema, frozenset())


def _is_object(schema: object, root: Mapping[str, Any], seen: frozenset[str]) -> bool:
    if not isinstance(schema, Mapping):
        return False
    if schema.get("type") == "object":
        return True
    name = str(schema.get("$ref", "")).removeprefix("#/$defs/")
    if name and name not in seen:
        return _is_object(root.get("$defs", {}).get(name), root, seen | {name})
    branches = schema.get("anyOf") or schema.get("oneOf") or ()
    return bool(branches) and all(_is_object(branch, root, seen) for branch in branches)
