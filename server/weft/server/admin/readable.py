"""Whether what stands beside the executions can be read: services, workflows, batches and schedules."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

import orjson

from weft.server.admin.findings import Finding
from weft.server.forms import NewerReleaseError
from weft.server.store.batch_codec import BatchRow, decode_batch
from weft.server.store.codec import decode_instance, decode_service, decode_workflow
from weft.server.store.definition_codec import decode_definition
from weft.server.store.execution_codec import UNREADABLE
from weft.server.store.vault import Snapshot, table

__all__ = ["unreadable"]

_Columns = dict[str, Any]


def _batch(of: _Columns) -> object:
    return decode_batch(BatchRow._make(of[name] for name in BatchRow._fields))


_READERS: Final[Mapping[str, Callable[[_Columns], object]]] = {
    "services": lambda of: decode_service(of["document"], of["descriptors"]),
    "instances": lambda of: decode_instance(of["document"]),
    "workflows": lambda of: decode_workflow(of["document"]),
    "workflow_versions": lambda of: decode_definition(orjson.loads(of["definition"])),
    "batches": _batch,
    "schedules": lambda of: (orjson.loads(of["document"]), orjson.loads(of["plan"])),
}


async def unreadable(snapshot: Snapshot) -> AsyncIterator[Finding]:
    """Yield what cannot be read, and what is for newer releases to read."""
    for name, read in _READERS.items():
        what = table(name)
        async for row in snapshot.rows(what):
            of = dict(zip(what.columns, row, strict=True))
            subject = "@".join(str(of[key]) for key in what.order)
            try:
                read(of)
            except NewerReleaseError as error:
                yield Finding("NEWER_RELEASE", subject, error.message)
            except UNREADABLE:
                yield Finding("CORRUPT", subject, f"what is stored of it in {name} cannot be read")
