"""The results of expressions, as JSON has them."""

from __future__ import annotations

import base64
import math
from datetime import UTC, datetime, timedelta
from typing import Any

from weft.core.payload import MAX_DEPTH

__all__ = ["EvaluationError", "kind_of", "to_json"]


class EvaluationError(Exception):
    """An expression has no value in this scope; the text says why."""


def to_json(value: Any, depth: int = 1) -> Any:
    """Say a result in JSON: times as RFC 3339, durations in seconds, bytes in base64.

    Raises:
        EvaluationError: JSON cannot say it, or it is too deep.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        raise EvaluationError(f"the result {value} has no JSON form")
    if depth > MAX_DEPTH:
        raise EvaluationError(f"the result is deeper than {MAX_DEPTH} levels")
    if isinstance(value, list):
        return [to_json(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return _objectto_json(value, depth)
    return _specialto_json(value)


def _objectto_json(value: dict[Any, Any], depth: int) -> dict[str, Any]:
    named = {_key(key): to_json(item, depth + 1) for key, item in value.items()}
    if len(named) < len(value):
        raise EvaluationError("two keys of the result are the same text in JSON")
    return named


def _key(key: Any) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    return str(key)


def _specialto_json(value: Any) -> str:
    if isinstance(value, datetime):
        return _timestamp_text(value)
    if isinstance(value, timedelta):
        return _duration_text(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise EvaluationError(f"the result is a {kind_of(value)}, which has no JSON form")


def _timestamp_text(value: datetime) -> str:
    zone = value.tzinfo or UTC
    text = value.replace(tzinfo=zone).isoformat()
    return f"{text[:-6]}Z" if text.endswith("+00:00") else text


def _duration_text(value: timedelta) -> str:
    micros = value // timedelta(microseconds=1)
    whole, rest = divmod(abs(micros), 1_000_000)
    fraction = f".{rest:06d}".rstrip("0") if rest else ""
    return f"{'-' if micros < 0 else ''}{whole}{fraction}s"


def kind_of(value: Any) -> str:
    """Name the type of a value for a person."""
    names = {dict: "object", list: "list", str: "string", bool: "bool", int: "number", float: "number"}
    return "null" if value is None else names.get(type(value), type(value).__name__)
