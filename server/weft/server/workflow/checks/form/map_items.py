"""What a map goes over: a list, or the numbers of a range."""

from __future__ import annotations

from typing import Any, Final

from weft.core.reasons import Rule
from weft.server.workflow.checks.basis.places import Spot, cut

__all__ = ["MAX_ITEMS", "check_items"]

MAX_ITEMS: Final = 1_000_000
_RANGE: Final = ("from", "to", "step")


def check_items(items: Any, spot: Spot) -> None:
    """Report what is certainly neither a list nor a range; what expressions give is looked at elsewhere."""
    if items is None:
        spot.add("map.items", Rule.REQUIRED, "is required", "a list, or `{from, to}`")
    elif isinstance(items, dict):
        _check_range(items, spot)
    elif isinstance(items, str):
        if "${" not in items:
            message = f"{cut(items)!r} is a text, and a map goes over a list or a range"
            hint = "an expression stands in `${ … }`"
            spot.add("map.items", Rule.TYPE_MISMATCH, message, hint)
    elif not isinstance(items, list):
        message = f"{items!r} is neither a list nor a range"
        spot.add("map.items", Rule.TYPE_MISMATCH, message, "a range is written `{from: 0, to: 10}`")


def _check_range(items: dict[str, Any], spot: Spot) -> None:
    if "..." in items:
        return
    for name in items:
        if name not in _RANGE:
            message = f"a range has no {cut(str(name))!r}"
            spot.add("map.items", Rule.INPUT_UNKNOWN, message, "it has `from`, `to` and perhaps `step`")
    for name in ("from", "to"):
        if name not in items:
            spot.add(f"map.items.{name}", Rule.REQUIRED, "is required")
    numbers = {name: _number(items, name, spot) for name in _RANGE}
    start, end, step = numbers["from"], numbers["to"], numbers["step"]
    if step == 0:
        spot.add("map.items.step", Rule.OUT_OF_RANGE, "with steps of 0 a range does not end")
    elif start is not None and end is not None and step is not None:
        count = max(0, -(-(end - start) // step))
        if count > MAX_ITEMS:
            spot.add("map.items", Rule.TOO_MANY, f"{count:,} items are over the limit of {MAX_ITEMS:,}")


def _number(items: dict[str, Any], name: str, spot: Spot) -> int | None:
    """Return a number that is literal; nothing when an expression gives it, or when it is none."""
    value = items.get(name, 1 if name == "step" else None)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if name in items and not (isinstance(value, str) and "${" in value):
        spot.add(f"map.items.{name}", Rule.TYPE_MISMATCH, f"{cut(repr(value))} is no whole number")
    return None
