"""JSON Schemas in a few words, for a cell of a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["summary"]


def summary(schema: Mapping[str, Any] | None) -> str:
    """Name the members of an object with their types, ``*`` at those it needs.

    A type that may also be null has a ``?``. Members that are not named have the
    name ``…``; one that is another name of a member is left out.
    """
    properties = schema.get("properties") if schema else None
    members = properties if isinstance(properties, Mapping) else {}
    required = schema.get("required") if schema else None
    needed = required if isinstance(required, list | tuple) else ()
    texts = [
        f"{name}{'*' if name in needed else ''}: {_kind(it)}"
        for name, it in members.items()
        if not _is_other_name(it)
    ]
    others = schema.get("additionalProperties") if schema else None
    if isinstance(others, Mapping):
        texts.append(f"…: {_kind(others)}")
    if others is False and not texts:
        return "nothing"
    return ", ".join(texts) or "any"


def _is_other_name(schema: Any) -> bool:
    return isinstance(schema, Mapping) and str(schema.get("$ref", "")).startswith("#/properties/")


def _kind(schema: Any) -> str:
    """Return the type of a value, ``any`` where the schema does not say it in one place."""
    if not isinstance(schema, Mapping):
        return "any"
    choices = schema.get("anyOf") or schema.get("oneOf")
    if isinstance(choices, list | tuple):
        return _either([_kind(choice) for choice in choices])
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2].rpartition(".")[2].replace("#", "same")
    named = schema.get("type")
    kinds = named if isinstance(named, list | tuple) else [named]
    return _either([_one_kind(kind, schema) for kind in kinds])


def _one_kind(named: Any, schema: Mapping[str, Any]) -> str:
    if named == "array" and isinstance(schema.get("items"), Mapping):
        return f"{_kind(schema['items'])}[]"
    return str(named) if named else "any"


def _either(kinds: list[str]) -> str:
    """Join types; that it may be null is a question mark."""
    named = [kind for kind in dict.fromkeys(kinds) if kind != "null"]
    return ("|".join(named) or "null") + ("?" if named and "null" in kinds else "")
