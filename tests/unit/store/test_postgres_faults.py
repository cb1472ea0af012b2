"""What a failure on the way to PostgreSQL means: found by the fault rig, when the database was killed."""

from __future__ import annotations

import asyncpg
import pytest

from weft.server.store.postgres._faults import fault_of


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress"),
        asyncpg.InterfaceError("connection is closed"),
        ConnectionResetError("reset"),
        TimeoutError(),
    ],
)
def test_a_connection_that_is_gone_is_a_fault_of_the_store(error: Exception) -> None:
    """Callers are told that the store is unavailable, and no type of asyncpg reaches them."""
    fault = fault_of(error, "postgresql db/weft")
    assert fault is not None
    assert not fault.full


def test_a_refused_statement_is_not() -> None:
    """It speaks of one unit of work."""
    assert fault_of(asyncpg.UniqueViolationError("taken"), "postgresql db/weft") is None
