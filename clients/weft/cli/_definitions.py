"""Files that define workflows and services, checked as a whole: every fault at once.

Only the form is checked here: known keys, their types, durations. What a
definition means is the server's to judge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from weft.cli._documents import read_documents
from weft.cli._inputs import parse_duration
from weft.cli._sources import source_name
from weft.core.errors import ValidationError, Violation
from weft.core.names import closest
from weft.core.reasons import Rule

__all__ = ["Definition", "in_files", "located", "read_services", "read_workflows"]

Reader = Callable[[Any, str], Any]
"""Takes a value and its path; raises ``ValidationError``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One definition of a file."""

    source: str
    """The file, as messages call it."""
    label: str
    """Where it stands, such as ``pipeline.yaml (document 2)``."""
    name: str
    """What it defines."""
    values: dict[str, Any] = field(default_factory=dict)
    """The rest of its keys, as the client takes them."""


def read_workflows(sources: Sequence[str]) -> list[Definition]:
    """Read every workflow of some files.

    Raises:
        ValidationError: A file or a definition in it has faults; those of all are listed.
    """
    return _read(sources, _WORKFLOW, ("name", "steps"))


def read_services(sources: Sequence[str]) -> list[Definition]:
    """Read every service of some files.

    Raises:
        ValidationError: A file or a definition in it has faults; those of all are listed.
    """
    return _read(sources, _SERVICE, ("name",))


def _read(sources: Sequence[str], table: Mapping[str, Reader], required: tuple[str, ...]) -> list[Definition]:
    faults: list[Violation] = []
    found: list[Definition] = []
    for source in dict.fromkeys(sources):
        try:
            documents = read_documents(source)
        except ValidationError as error:
            faults.extend(error.violations)
            continue
        for label, document in documents:
            try:
                values = _record(table, required)(document, "")
            except ValidationError as error:
                faults.extend(located(label, violation) for violation in error.violations)
                continue
            name = values.pop("name")
            found.append(Definition(source=source_name(source), label=label, name=name, values=values))
    faults.extend(_repeated(found))
    if faults:
        raise in_files(faults, map(source_name, sources))
    return found


def in_files(faults: Sequence[Violation], sources: Iterable[str]) -> ValidationError:
    """Make the error of faults in files; its metadata name those that have some."""
    faulty = [name for name in dict.fromkeys(sources) if any(it.field.startswith(name) for it in faults)]
    named = " and ".join(faulty) if len(faulty) <= 2 else f"{len(faulty)} files"
    return ValidationError(faults, metadata={"files": named})


def located(label: str, violation: Violation) -> Violation:
    """Say in which file, or document of it, a fault is."""
    where = f"{label}: {violation.field}" if violation.field else label
    return Violation(where, violation.description, violation.reason)


def _repeated(definitions: list[Definition]) -> list[Violation]:
    """Find names that several documents define: the later would undo the earlier."""
    first: dict[str, str] = {}
    faults = []
    for it in definitions:
        if it.name in first:
            description = f"{it.name!r} is defined by {first[it.name]} already"
            faults.append(Violation(f"{it.label}: name", description, Rule.DUPLICATE))
        first.setdefault(it.name, it.label)
    return faults


def _record(table: Mapping[str, Reader], required: tuple[str, ...] = ()) -> Reader:
    """Return the reader of an object with these keys; null is as good as absent."""

    def read(value: Any, path: str) -> dict[str, Any]:
        members = _object(value, path)
        faults = [
            Violation(_join(path, key), "is required", Rule.REQUIRED)
            for key in required
            if members.get(key) is None
        ]
        known: dict[str, Any] = {}
        for key, item in members.items():
            try:
                _read_member(table, key, item, path, known)
            except ValidationError as error:
                faults.extend(error.violations)
        if faults:
            raise ValidationError(faults)
        return known

    return read


def _read_member(table: Mapping[str, Reader], key: str, item: Any, path: str, known: dict[str, Any]) -> None:
    if key not in table:
        hint = closest(key, list(table))
        raise _fault(_join(path, key), f"is no known key; {hint}")
    if item is not None:
        known[key] = table[key](item, _join(path, key))


def _list_of(read: Reader) -> Reader:
    def read_all(value: Any, path: str) -> list[Any]:
        if not isinstance(value, list):
            raise _mismatch(value, path, "a list")
        faults: list[Violation] = []
        found: list[Any] = []
        for index, item in enumerate(value):
            try:
                found.append(read(item, f"{path}[{index}]"))
            except ValidationError as error:
                faults.extend(error.violations)
        if faults:
            raise ValidationError(faults)
        return found

    return read_all


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


def _duration(value: Any, path: str) -> timedelta:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _mismatch(value, path, "a duration such as 30s, or a number of seconds")
    try:
        return parse_duration(value)
    except ValueError as error:
        raise _fault(path, str(error)) from None


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

_RETRY: Final[Mapping[str, Reader]] = {
    "max_attempts": _whole,
    "initial_backoff": _duration,
    "multiplier": _number,
    "max_backoff": _duration,
    "jitter": _number,
    "non_retryable_reasons": _list_of(_text),
    "on_exhausted": _text,
}

_CONCURRENCY: Final[Mapping[str, Reader]] = {"limit": _whole, "key": _text}

_STEP: Final[Mapping[str, Reader]] = {
    "id": _text,
    "service": _text,
    "action": _text,
    "next": _text,
    "input": _object,
    "timeout": _duration,
    "description": _text,
    "service_version": _text,
    "retry": _record(_RETRY),
    "schedule_to_close_timeout": _duration,
    "heartbeat_timeout": _duration,
}

_WORKFLOW: Final[Mapping[str, Reader]] = {
    "name": _text,
    "description": _text,
    "steps": _list_of(_record(_STEP, ("id", "service", "action"))),
    "metadata": _object,
    "input_schema": _object,
    "output_schema": _object,
    "timeout": _duration,
    "concurrency": _record(_CONCURRENCY, ("limit",)),
}

_ACTION: Final[Mapping[str, Reader]] = {
    "name": _text,
    "description": _text,
    "input_schema": _object,
    "output_schema": _object,
    "idempotent": _flag,
    "timeout": _duration,
    "grpc_method": _text,
}

_SERVICE: Final[Mapping[str, Reader]] = {
    "name": _text,
    "description": _text,
    "endpoint": _text,
    "actions": _list_of(_record(_ACTION, ("name",))),
    "metadata": _object,
    "version": _text,
    "grpc_services": _list_of(_text),
}
