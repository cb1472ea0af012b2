"""Request keys: a repeat returns what the first request returned."""

from __future__ import annotations

from weft.server.store.base import RequestKey
from weft.server.store.postgres._connect import SQL, Connection
from weft.server.store.request_keys import check_fingerprint

__all__ = ["check_fingerprint", "recall", "record"]


async def recall(connection: Connection, key: RequestKey | None) -> str | None:
    """Return the document that the first request with a key returned.

    Raises:
        AlreadyExistsError: REQUEST_ID_REUSED: its content was another.
    """
    if key is None:
        return None
    row = await connection.fetchrow(SQL["recall_request"], key.method, key.request_id)
    if row is None:
        return None
    check_fingerprint(key, row["fingerprint"])
    document: str = row["document"]
    return document


async def record(connection: Connection, key: RequestKey | None, document: str, time: int) -> None:
    """Remember what a request returned."""
    if key is not None:
        values = (key.method, key.request_id, key.fingerprint, document, time)
        await connection.execute(SQL["record_request"], *values)
