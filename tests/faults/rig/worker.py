"""A provider as a program: every run of a body is written down before and after, and its output is unique."""

from __future__ import annotations

import argparse
import asyncio
import itertools
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.faults.rig.record import Journal
from weft.core.errors import ActionFailedError
from weft.service import ActionContext, Service

SERVICE = "work"
_TTL = timedelta(seconds=2)


def work_service(journal: Journal, life: str) -> Service:
    """Make the service; ``life`` tells this process from the one that it follows."""
    service = Service(SERVICE, version="1.0.0")
    runs = itertools.count(1)

    @service.action(idempotent=True)
    async def work(
        token: str,
        context: ActionContext,
        n: int = 0,
        prior: str = "",
        seconds: float = 0.0,
        failures: int = 0,
        key: str = "",
    ) -> dict[str, Any]:
        """Take a moment, count up, and return something that no other run returns; or fail at first."""
        run = f"{life}-{next(runs)}"
        journal.write(
            type="begin",
            run=run,
            execution=context.execution_id,
            step=context.step_id,
            attempt=context.attempt,
            key=context.idempotency_key,
            given={"token": token, "n": n, "prior": prior, "key": key},
        )
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            journal.write(type="stopped", run=run)
            raise
        if context.attempt <= failures:
            journal.write(type="failed", run=run)
            raise ActionFailedError("not at the first attempt", reason="NOT_YET")
        output = {"n": n + 1, "mark": run}
        journal.write(type="end", run=run, output=output)
        return output

    return service


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--server", required=True)
    options.add_argument("--journal", type=Path, required=True)
    options.add_argument("--life", required=True)
    given = options.parse_args()
    service = work_service(Journal(given.journal), given.life)
    service.run(server=given.server, listen="127.0.0.1:0", ttl=_TTL)


if __name__ == "__main__":
    main()
