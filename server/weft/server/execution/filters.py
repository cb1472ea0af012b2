"""Which fields a filter of executions may name."""

from __future__ import annotations

from typing import Final

from weft.server.execution.model import ExecutionState
from weft.server.query.fields import Field, Kind, Schema

__all__ = ["ATTRIBUTES", "EXECUTION_FIELDS"]

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
    },
    maps=(ATTRIBUTES,),
)
