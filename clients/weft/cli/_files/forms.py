"""One form for what is said in many ways: of a file, of a record, of what the server answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weft.cli._files.shapes import Field, Shape
from weft.core.definitions import member

__all__ = ["meaning", "tidied"]


def tidied(shape: Shape, values: object) -> dict[str, Any]:
    """Return what an object says, in the order of its members; what says nothing is left out.

    Args:
        shape: What it may hold.
        values: As it was read from a file, or a record.
    """
    return _arranged(shape, values, defaults=True)


def meaning(shape: Shape, values: object) -> dict[str, Any]:
    """Return the same without members that say what none would: equal for all that mean the same."""
    return _arranged(shape, values, defaults=False)


def _arranged(shape: Shape, values: object, *, defaults: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, field in shape.fields.items():
        value = member(values, name)
        if value is None or any(value == blank for blank in field.blanks):
            continue
        shown = _shown(field, value, defaults=defaults)
        if defaults or field.default is None or shown != _shown(field, field.default, defaults=False):
            found[name] = shown
    return found


def _shown(field: Field, value: Any, *, defaults: bool) -> Any:
    if isinstance(value, list | tuple) and field.is_list:
        return [_one(field, item, defaults=defaults) for item in value]
    return _one(field, value, defaults=defaults)


def _one(field: Field, value: Any, *, defaults: bool) -> Any:
    if field.shape is not None:
        return _arranged(field.shape, value, defaults=defaults)
    if isinstance(value, Mapping):
        return dict(value)
    return field.show(value)
