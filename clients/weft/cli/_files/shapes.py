"""What stands in a file: one table for each kind of object says what it may hold.

The same tables read files, bring them into one form, compare them, and make the JSON Schema for editors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from weft.cli._base.inputs import parse_duration, show_duration
from weft.core.errors import ValidationError, Violation
from weft.core.names import closest
from weft.core.reasons import Rule

__all__ = [
    "FLAG",
    "JSON",
    "NUMBER",
    "OBJECT",
    "SPAN",
    "TEXT",
    "TEXTS",
    "TIME_TEXT",
    "WHOLE",
    "Field",
    "Shape",
    "choice",
    "list_of",
]

Reader = Callable[[Any, str], Any]
"""Takes a value and its path; raises ``ValidationError``."""


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """What a member of an object takes."""

    read: Reader
    """Reads a value of a file."""
    schema: Mapping[str, Any]
    """The same as JSON Schema."""
    blanks: tuple[Any, ...] = ()
    """Values that say as much as none."""
    default: Any = None
    """What none means, when that is a value; in the form of what is read."""
    shape: Shape | None = None
    """Of an object that has a table, or of a list of such objects."""
    is_list: bool = False
    """Whether it is a list of what the rest says."""
    show: Callable[[Any], Any] = _same
    """Brings what was read into the form in which it is written."""

    def meaning(self, default: Any, *blanks: Any) -> Field:
        """Return the field, saying what none of it means."""
        return replace(self, default=default, blanks=(*self.blanks, *blanks))


class Shape:
    """What an object may hold; the order is the one in which its members are written.

    Args:
        name: What the schema calls it.
        required: Members that have to be there.
        check: Finds further faults of an object, given it and its path.
        rule: The same as JSON Schema.
    """

    def __init__(
        self,
        name: str,
        required: tuple[str, ...] = (),
        check: Callable[[Mapping[str, Any], str], list[Violation]] | None = None,
        rule: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.required = required
        self.fields: dict[str, Field] = {}
        self.rule = rule or {}
        self._check = check

    def having(self, fields: Mapping[str, Field]) -> Shape:
        """Add members; they may hold objects of this shape."""
        self.fields.update(fields)
        return self

    @property
    def field(self) -> Field:
        """A member that is such an object."""
        return Field(read=self.read, schema={"$ref": f"#/definitions/{self.name}"}, shape=self)

    def read(self, value: Any, path: str) -> dict[str, Any]:
        """Read an object; null is as good as absent.

        Raises:
            ValidationError: Everything that is wrong with it.
        """
        members: dict[str, Any] = _object(value, path)
        faults = [
            Violation(_join(path, key), "is required", Rule.REQUIRED)
            for key in self.required
            if members.get(key) is None
        ]
        faults.extend(self._check(members, path) if self._check else ())
        known: dict[str, Any] = {}
        for key, item in members.items():
            try:
                self._read_member(key, item, path, known)
            except ValidationError as error:
                faults.extend(error.violations)
        if faults:
            raise ValidationError(faults)
        return known

    def _read_member(self, key: str, item: Any, path: str, known: dict[str, Any]) -> None:
        if key not in self.fields:
            raise _fault(_join(path, key), f"is no known key; {closest(key, list(self.fields))}")
        if item is not None:
            known[key] = self.fields[key].read(item, _join(path, key))


def list_of(field: Field, at_most: int | None = None) -> Field:
    """Return the field of a list of such values."""

    def read_all(value: Any, path: str) -> list[Any]:
        if not isinstance(value, list):
            raise _mismatch(value, path, "a list")
        faults: list[Violation] = []
        found: list[Any] = []
        for index, item in enumerate(value):
            try:
                found.append(field.read(item, f"{path}[{index}]"))
            except ValidationError as error:
                faults.extend(error.violations)
        if faults:
            raise ValidationError(faults)
        return found

    limit = {} if at_most is None else {"maxItems": at_most}
    return Field(
        read=read_all,
        schema={"type": "array", "items": field.schema, **limit},
        blanks=([], ()),
        shape=field.shape,
        is_list=True,
        show=field.show,
    )


def choice(*names: str, default: str = "", closed: bool = False) -> Field:
    """Return the field of one of some names, in any case.

    Args:
        names: They.
        default: Which one is meant when there is none.
        closed: Whether it is here that another one is refused, and not at the server.
    """

    def read(value: Any, path: str) -> str:
        text = _text(value, path)
        if closed and text and text.upper() not in names:
            raise _fault(path, f"{text[:80]!r} is none of them; {closest(text, [*map(str.lower, names)])}")
        return text

    return Field(
        read=read,
        schema={"enum": [*names, *map(str.lower, names)]},
        blanks=("",),
        default=default or None,
        show=str.upper,
    )


def _text(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise _mismatch(value, path, "text")
    return value


def _flag(value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise _mismatch(value, path, "true or false")
    return value


def _number(value: Any, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _mismatch(value, path, "a number")
    return value


def _whole(value: Any, path: str) -> int:
    if isinstance(value, float):
        raise _fault(path, f"is {value:g}, not a whole number")
    if isinstance(value, bool) or not isinstance(value, int):
        raise _mismatch(value, path, "a whole number")
    return value


def _object(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _mismatch(value, path, "an object")
    return value


def _texts(value: Any, path: str) -> dict[str, str]:
    members = _object(value, path)
    faults = [
        Violation(_join(path, key), f"is {_KINDS.get(type(item), 'null')}, not text", Rule.INVALID)
        for key, item in members.items()
        if not isinstance(item, str)
    ]
    if faults:
        raise ValidationError(faults)
    return members


def _duration(value: Any, path: str) -> timedelta:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _mismatch(value, path, "a duration such as 30s, or a number of seconds")
    try:
        return parse_duration(value)
    except ValueError as error:
        raise _fault(path, str(error)) from None


def _time_text(value: Any, path: str) -> str:
    """Take text with expressions, of which the server makes a time; or a number of seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:.15g}s"
    if not isinstance(value, str):
        raise _mismatch(value, path, "text such as 30s, or a number of seconds")
    return value


def _mismatch(value: object, path: str, wanted: str) -> ValidationError:
    return _fault(path, f"is {_KINDS.get(type(value), 'null')}, not {wanted}")


def _fault(path: str, description: str) -> ValidationError:
    return ValidationError([Violation(path, description, Rule.INVALID)])


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


_KINDS: Final[Mapping[type, str]] = {
    dict: "an object",
    list: "a list",
    str: "text",
    bool: "true or false",
    int: "a number",
    float: "a number",
}

_SPAN_SCHEMA: Final[Mapping[str, Any]] = {
    "type": ["string", "number"],
    "pattern": r"^\s*([0-9]+(\.[0-9]+)?|([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+)\s*$",
    "minimum": 0,
}

TEXT: Final = Field(read=_text, schema={"type": "string"}, blanks=("",))
FLAG: Final = Field(read=_flag, schema={"type": "boolean"}, blanks=(False,))
WHOLE: Final = Field(read=_whole, schema={"type": "integer"}, blanks=(0,))
NUMBER: Final = Field(read=_number, schema={"type": "number"})
OBJECT: Final = Field(read=_object, schema={"type": "object"})
TEXTS: Final = Field(
    read=_texts, schema={"type": "object", "additionalProperties": {"type": "string"}}, blanks=({},)
)
SPAN: Final = Field(read=_duration, schema=_SPAN_SCHEMA, show=show_duration)
TIME_TEXT: Final = Field(read=_time_text, schema={"type": ["string", "number"]}, blanks=("",))
JSON: Final = Field(read=lambda value, _: value, schema={})
