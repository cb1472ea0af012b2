"""A restart forgets which request started which execution."""

from __future__ import annotations

from tests.faults.bugs.seams import at_open


def plant() -> None:
    at_open(
        lambda connection: connection.execute(
            "UPDATE executions SET request_method = NULL, request_id = NULL, fingerprint = NULL"
        )
    )
