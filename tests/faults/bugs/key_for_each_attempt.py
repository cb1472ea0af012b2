"""Each attempt of a step carries an idempotency key of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.faults.bugs.seams import wrap
from weft.server.execution.engine.dispatch import Dispatcher


def plant() -> None:
    def make(original: Any) -> Any:
        async def call(
            self: Any, service: str, action: str, make_input: Any, identity: Any, *rest: Any, **named: Any
        ) -> Any:
            other = replace(identity, idempotency_key=f"{identity.idempotency_key}/{identity.attempt}")
            return await original(self, service, action, make_input, other, *rest, **named)

        return call

    wrap(Dispatcher, "call", make)
