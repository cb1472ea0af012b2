"""Says what is wrong with a value as its author wants to hear it: each fault, where it is.

Of a combination (``anyOf``, ``oneOf``) a value mostly means one branch. The others want
another type, or another value of the member that tells them apart; what they say of the
rest means nothing to anybody.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, time
from typing import Final, TypeAlias

import jsonschema_rs
import orjson
from jsonschema_rs import ValidationErrorKind as Kind

from weft.core._schema_refs import join_path
from weft.core.errors import Violation
from weft.core.reasons import Rule

__all__ = ["faults_of", "shorten"]

Branch: TypeAlias = Sequence[jsonschema_rs.ValidationError]

_LONGEST: Final = 300
_END: Final = 150
"""How much of the end of a text is kept: the value stands before what is wrong with it."""


def faults_of(error: jsonschema_rs.ValidationError, field: str) -> Iterator[Violation]:
    """Yield what an error means.

    Args:
        error: One of a value.
        field: The path of the value.
    """
    kind = error.kind
    if isinstance(kind, Kind.AnyOf | Kind.OneOfNotValid):
        yield from _of_branches(error, kind.context, field)
    else:
        yield _fault(error, field, _text(error))


def shorten(text: str) -> str:
    """Leave out the middle of a long text."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - _END - 1]}…{text[-_END:]}"


def _of_branches(
    error: jsonschema_rs.ValidationError, branches: Sequence[Branch], field: str
) -> Iterator[Violation]:
    meant = [branch for branch in branches if _other_type(branch, error) is None]
    if not meant:
        yield _fault(error, field, _none_of_the_types(error, branches))
        return
    if len(meant) > 1:
        named = [_other_name(branch, error) for branch in meant]
        meant = [branch for branch, other in zip(meant, named, strict=True) if other is None]
        names = [other for other in named if other is not None]
        if not meant and len({tuple(other.instance_path) for other in names}) == 1:
            yield _fault(names[0], field, _none_of_the_names(names))
            return
    if len(meant) != 1:
        yield _fault(error, field, error.message)
        return
    for each in meant[0]:
        yield from faults_of(each, field)


def _other_type(branch: Branch, error: jsonschema_rs.ValidationError) -> jsonschema_rs.ValidationError | None:
    """Return the fault that says that a branch wants another type."""
    return next(
        (
            each
            for each in branch
            if isinstance(each.kind, Kind.Type) and each.instance_path == error.instance_path
        ),
        None,
    )


def _other_name(branch: Branch, error: jsonschema_rs.ValidationError) -> jsonschema_rs.ValidationError | None:
    """Return the fault that says that a branch wants another value of a member."""
    depth = len(error.instance_path) + 1
    return next(
        (
            each
            for each in branch
            if isinstance(each.kind, Kind.Constant) and len(each.instance_path) == depth
        ),
        None,
    )


def _none_of_the_types(error: jsonschema_rs.ValidationError, branches: Sequence[Branch]) -> str:
    wanted: list[str] = []
    value = ""
    for branch in branches:
        fault = _other_type(branch, error)
        if fault is not None and isinstance(fault.kind, Kind.Type):
            wanted += [name for name in sorted(fault.kind.types) if name not in wanted]
            value = fault.message.partition(" is not of type")[0]
    if not wanted:
        return error.message
    return f"{value} is not of type {_either([orjson.dumps(name).decode() for name in wanted])}"


def _none_of_the_names(names: Sequence[jsonschema_rs.ValidationError]) -> str:
    wanted = [name.message.removesuffix(" was expected") for name in names]
    return f"{orjson.dumps(names[0].instance).decode()} is not one of {_either(list(dict.fromkeys(wanted)))}"


def _text(error: jsonschema_rs.ValidationError) -> str:
    kind = error.kind
    if isinstance(kind, Kind.Not) and isinstance(kind.schema, dict) and list(kind.schema) == ["not"]:
        return "is not valid under any of the schemas listed in the combination"  # see _without_branches
    if isinstance(kind, Kind.Format) and _lacks_zone(kind.format, error.instance):
        return f"{error.message}; it has no time zone, such as Z or +01:00"
    return error.message


def _lacks_zone(kind: str, value: object) -> bool:
    """Tell whether a text would be a time if it said where."""
    if not isinstance(value, str) or kind not in {"date-time", "time"}:
        return False
    try:
        found = time.fromisoformat(value) if kind == "time" else datetime.fromisoformat(value)
    except ValueError:
        return False
    return found.tzinfo is None and (kind == "time" or "T" in value)


def _fault(error: jsonschema_rs.ValidationError, field: str, text: str) -> Violation:
    return Violation(join_path(field, error.instance_path), shorten(text), Rule.SCHEMA_MISMATCH)


def _either(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
