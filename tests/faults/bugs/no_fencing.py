"""A server writes whether or not it still has its lease, and over whatever others wrote since."""

from __future__ import annotations

import re
from typing import Any

from tests.faults.bugs.seams import wrap
from weft.server.store.postgres import _writer

_ALIVE = re.compile(r"SELECT epoch FROM servers WHERE epoch = \$1.*?\n\)", re.DOTALL)
_FENCE = "AND e.last_event = a.expected AND e.owner = alive.epoch AND e.end_time IS NULL"
_OVER = (
    "ON CONFLICT (execution_id, number) DO UPDATE SET time = excluded.time, kind = excluded.kind, "
    "attributes = excluded.attributes, payload = excluded.payload"
)


def plant() -> None:
    def make(queries: Any) -> dict[str, str]:
        open_, count = _ALIVE.subn("SELECT $1::bigint AS epoch\n)", queries["commit_batch"])
        assert count == 1
        assert _FENCE in open_
        head, events, rest = open_.replace(_FENCE, "").partition("INSERT INTO events")
        place = rest.index("= ANY ((SELECT ids FROM done)::text[])") + len(
            "= ANY ((SELECT ids FROM done)::text[])"
        )
        return {**queries, "commit_batch": f"{head}{events}{rest[:place]} {_OVER}{rest[place:]}"}

    wrap(_writer, "SQL", make)
