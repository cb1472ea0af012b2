"""A provider of long actions, as a program of its own: streamed, or with unary calls only."""

from __future__ import annotations

import argparse
import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc

from tests.integration.engine.work import Journal
from weft.service import ActionContext, Pending, Service
from weft.service._servicer import ActionServicer


def long_service(journal: Journal) -> Service:
    service = Service("long", version="1.0.0")

    @service.action(idempotent=True)
    async def count(total: int, context: ActionContext, stay: int = 0) -> dict[str, int]:
        """Count up slowly, from where the attempt before was; the first one stays at ``stay``."""
        begin = (context.heartbeat_details or {}).get("done", 0)
        journal.write("count", context.attempt, begin)
        for done in range(begin, total):
            context.heartbeat({"done": done, "total": total})
            await asyncio.sleep(0.05)
            while context.attempt == 1 and 0 < stay <= done:
                context.heartbeat({"done": done, "total": total})
                await asyncio.sleep(0.05)
        return {"total": total}

    @service.action
    async def approve(context: ActionContext) -> dict[str, bool]:
        """Ask somebody who answers later."""
        journal.write("approve", context.attempt_token)
        raise Pending

    @service.action
    async def hang(context: ActionContext) -> None:
        """Wait until nobody waits any more."""
        journal.write("hang", context.attempt)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            journal.write("cancelled", context.attempt)
            raise

    return service


async def _unserved(_self: Any, _requests: Any, context: Any) -> None:
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, "not here")


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--server", required=True)
    options.add_argument("--journal", type=Path, required=True)
    options.add_argument("--listen", required=True)
    options.add_argument("--transport", required=True)
    given = options.parse_args()
    if given.transport == "unary":
        setattr(ActionServicer, "RunActions", _unserved)  # noqa: B010 - as a provider that does not stream
    service = long_service(Journal(given.journal))
    service.run(server=given.server, listen=given.listen, ttl=timedelta(seconds=2))


if __name__ == "__main__":
    main()
