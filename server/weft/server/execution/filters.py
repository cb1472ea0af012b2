"""Filters of executions: which fields they may name, and names of workflows read as ids."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

from weft.core.errors import ValidationError, Violation
from weft.core.names import WORKFLOW_PREFIX, closest, is_id
from weft.core.reasons import Rule
from weft.server.execution.history.model import ExecutionState
from weft.server.query.check import read_filter
from weft.server.query.fields import Field, Kind, Schema
from weft.server.query.predicate import Predicate, Ref, Test, rewrite, tests_of

__all__ = ["ATTRIBUTES", "EXECUTION_FIELDS", "read_group", "read_where", "with_workflow_ids"]

ATTRIBUTES: Final = "attributes"

EXECUTION_FIELDS: Final = Schema(
    fields={
        "id": Field(kind=Kind.TEXT),
        "workflow": Field(kind=Kind.ID),
        "version": Field(kind=Kind.NUMBER),
        "state": Field(kind=Kind.WORD, words=tuple(state.value for state in ExecutionState)),
        "create_time": Field(kind=Kind.TIME),
        "end_time": Field(kind=Kind.TIME),
        "key": Field(kind=Kind.TEXT),
        "waits": Field(kind=Kind.TEXT),
        "trace_id": Field(kind=Kind.TEXT),
        "origin": Field(kind=Kind.TEXT),
        "alias": Field(kind=Kind.TEXT),
        "parent": Field(kind=Kind.TEXT),
    },
    maps=(ATTRIBUTES,),
)

_GROUPS: Final = ("state", "workflow")
_WORKFLOW: Final = Ref("workflow")


def read_where(text: str, now: datetime) -> Predicate | None:
    """Read a filter of executions; None when it is empty.

    Raises:
        ValidationError: With all its faults.
    """
    return read_filter(text, EXECUTION_FIELDS, now)


def read_group(text: str, where: str = "group_by") -> Ref | None:
    """Read what to count by; None when it is empty.

    Raises:
        ValidationError: That is nothing to count by.
    """
    if not text:
        return None
    name, _, key = text.partition(".")
    if text in _GROUPS:
        return Ref(text)
    if name == ATTRIBUTES and key and "." not in key:
        return Ref(name, key)
    hint = closest(text, [*_GROUPS, f"{ATTRIBUTES}.…"])
    raise ValidationError([Violation(where, f"{text[:80]!r} is nothing to count by; {hint}", Rule.INVALID)])


async def with_workflow_ids(predicate: Predicate, resolve: Callable[[str], Awaitable[str]]) -> Predicate:
    """Return the same with ids where workflows are named.

    Raises:
        ResourceNotFoundError: WORKFLOW_NOT_FOUND: there is no such name.
    """
    names = {str(test.value) for test in tests_of(predicate) if test.ref == _WORKFLOW and test.value}
    ids = {name: name if is_id(name, WORKFLOW_PREFIX) else await resolve(name) for name in sorted(names)}

    def named(test: Test) -> Test:
        if test.ref != _WORKFLOW or not test.value:
            return test
        return Test(test.ref, test.compare, ids[str(test.value)])

    return rewrite(predicate, named)
