"""Request keys: a repeat returns what the first request returned."""

from __future__ import annotations

import sqlite3

from weft.server.store.base import RequestKey
from weft.server.store.request_keys import check_fingerprint
from weft.server.store.sqlite._database import SQL

__all__ = ["check_fingerprint", "recall", "record"]


def recall(connection: sqlite3.Connection, key: RequestKey | None) -> str | None:
    """Return the document that the first request with a key returned.

    Raises:
        AlreadyExistsError: REQUEST_ID_REUSED: its content was another.
    """
    if key is None:
        return None
    row = connection.execute(SQL["recall_request"], (key.method, key.request_id)).fetchone()
    if row is None:
        return None
    check_fingerprint(key, row[0])
    document: str = row[1]
    return document


def record(connection: sqlite3.Connection, key: RequestKey | None, document: str, time: int) -> None:
    """Remember what a request returned."""
    if key is not None:
        connection.execute(
            SQL["record_request"], (key.method, key.request_id, key.fingerprint, document, time)
        )
