"""What a predicate says about one record, in plain Python: the meaning that the SQL must have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any as AnyValue

from weft.server.query.predicate import All, Any, Compare, Negation, Predicate, Ref, Test, Value

__all__ = ["matches"]


def matches(predicate: Predicate, record: Mapping[Ref, Value]) -> bool:
    """Tell whether a predicate holds.

    Args:
        predicate: What is asked.
        record: The values that there are; what is None or missing is not there.
    """
    match predicate:
        case Test():
            return _holds(predicate, record.get(predicate.ref))
        case Negation():
            return not matches(predicate.part, record)
        case All():
            return all(matches(part, record) for part in predicate.parts)
        case Any():
            return any(matches(part, record) for part in predicate.parts)


def _holds(test: Test, found: Value) -> bool:
    if found is None:
        return False
    if test.compare is Compare.PRESENT:
        return True
    if test.compare is Compare.PREFIX:
        return isinstance(found, str) and found.startswith(str(test.value))
    if test.compare is Compare.CONTAINS:
        return isinstance(found, str) and str(test.value) in found
    # Values of different types are neither equal nor in any order.
    return _type_of(found) is _type_of(test.value) and _compares(test.compare, found, test.value)


def _type_of(value: Value) -> type:
    return float if type(value) is int else type(value)


def _compares(compare: Compare, left: AnyValue, right: AnyValue) -> bool:
    results: dict[Compare, bool] = {
        Compare.EQUAL: left == right,
        Compare.LESS: left < right,
        Compare.AT_MOST: left <= right,
        Compare.GREATER: left > right,
        Compare.AT_LEAST: left >= right,
    }
    return results[compare]
