"""Values from the command line: JSON, ``@file``, stdin, and durations."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any, Final

from weft.cli._base.sources import STDIN, fault, is_yaml, read_bytes, source_name
from weft.core.errors import ValidationError
from weft.core.reasons import Rule

__all__ = ["parse_duration", "read_object", "read_value", "show_duration"]

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")


def parse_duration(value: str | float) -> timedelta:
    """Read ``500ms``, ``30s``, ``1h30m``, or a number of seconds.

    Raises:
        ValueError: It is none of these, or out of range.
    """
    text = str(value).strip().lower()
    if _NUMBER.fullmatch(text):
        return _seconds(float(text), text)
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text[:40]!r} is no duration; write 500ms, 30s, 5m, 1h30m or a number of seconds")
    return _seconds(sum(float(number) * _UNITS[unit] for number, unit in parts), text)


def show_duration(span: timedelta) -> str:
    """Write a duration so that it can be read again, such as ``1h30m``."""
    left, parts = span // _MICROSECOND, []
    for unit, size in _SIZES.items():
        count, left = divmod(left, size)
        parts.append(f"{count}{unit}" if count else "")
    parts.append(f"{left / 1_000:g}ms" if left else "")
    return "".join(parts) or "0s"


_MICROSECOND: Final = timedelta(microseconds=1)
_SIZES: Final = {"d": 86_400_000_000, "h": 3_600_000_000, "m": 60_000_000, "s": 1_000_000}
"""In microseconds."""


def _seconds(seconds: float, text: str) -> timedelta:
    try:
        return timedelta(seconds=seconds)
    except OverflowError:
        raise ValueError(f"{text[:40]!r} is longer than can be counted") from None


def read_object(text: str, field: str = "input") -> dict[str, Any]:
    """Read a JSON object from the command line: the text itself, ``@file``, or ``-`` for stdin.

    A file that ends in ``.yaml`` or ``.yml`` is read as YAML.

    Raises:
        ValidationError: It cannot be read, or is no JSON object within the limits of a payload.
    """
    from weft.core import payload  # noqa: PLC0415 - protobuf is slow to import, and `--help` needs none

    if text != STDIN and not text.startswith("@"):
        _require_text(text, field)
        try:
            return payload.loads(text.encode("utf-8", "surrogateescape"), field)
        except ValidationError as error:
            raise _with_advice(error) from None
    source = text.removeprefix("@")
    data = read_bytes(source)
    _require_text(data, source_name(source))
    if is_yaml(source):
        from weft.cli._base.documents import one_object  # noqa: PLC0415 - PyYAML, for those who use it

        value = one_object(data, source)
        payload.dumps(value, source_name(source))
        return value
    return payload.loads(data, source_name(source))


def _require_text(text: str | bytes, where: str) -> None:
    """Refuse nothing at all, which is what a variable that is not set and a command that failed give."""
    if not text.strip():
        raise fault(where, "is empty; write {} for an object without members", Rule.PAYLOAD_INVALID)


def read_value(text: str, field: str) -> Any:
    """Read any JSON value from the command line: the text itself, ``@file``, or ``-`` for stdin.

    Raises:
        ValidationError: It cannot be read, or is no JSON.
    """
    given = text != STDIN and not text.startswith("@")
    data = text.encode("utf-8", "surrogateescape") if given else read_bytes(text.removeprefix("@"))
    where = field if given else source_name(text.removeprefix("@"))
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        words = f"is no JSON: {error}" if isinstance(error, ValueError) else "is nested too deeply"
        raise fault(where, f"{words}; {_advice(field)}" if given else words, Rule.PAYLOAD_INVALID) from None


def _with_advice(error: ValidationError) -> ValidationError:
    """Say how to write JSON in a shell, where the shell may have taken the quotes."""
    first = error.violations[0]
    if first.reason != Rule.PAYLOAD_INVALID:
        return error
    return fault(first.field, f"{first.description}; {_advice(first.field)}", Rule.PAYLOAD_INVALID)


def _advice(field: str) -> str:
    option = field.partition("[")[0]
    return f"""write --{option} '{{"name": "Ada"}}': double quotes inside, single outside"""
