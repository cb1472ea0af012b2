"""JSON Schemas in a few words, for a cell of a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["summary"]


def summary(schema: Mapping[str, Any] | None) -> str:
    """Name the members of an object with their types, ``*`` at those it needs.

    Members that are not named have the name ``…``.
    """
    properties = schema.get("properties") if schema else None
    members = properties if isinstance(properties, Mapping) else {}
    required = schema.get("required") if schema else None
    needed = required if isinstance(required, list | tuple) else ()
    texts = [f"{name}{'*' if name in needed else ''}: {_kind(it)}" for name, it in members.items()]
    others = schema.get("additionalProperties") if schema else None
    if isinstance(others, Mapping):
        texts.append(f"…: {_kind(others)}")
    if others is False and not texts:
        return "nothing"
    return ", ".join(texts) or "any"


def _kind(schema: Any) -> str:
    """Return the type of a value, ``any`` where the schema does not say it in one place."""
    if not isinstance(schema, Mapping):
        return "any"
    choices = schema.get("anyOf") or schema.get("oneOf")
    if isinstance(choices, list | tuple):
        return "|".join(dict.fromkeys(map(_kind, choices)))
    named = schema.get("type")
    if isinstance(named, list | tuple):
        return "|".join(map(str, named))
    if named == "array" and isinstance(schema.get("items"), Mapping):
        return f"{_kind(schema['items'])}[]"
    return str(named) if named else "any"
