"""The caller: one attempt is one operation, recorded with what can be known of its outcome."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from tests.faults.rig.evidence import FINAL, LAST_EVENTS
from tests.faults.rig.record import Outcome, Recorder
from weft.client import NO_RETRY, Client, Execution, RetryPolicies, WeftError, connect
from weft.core.errors import Code

_CERTAIN: Final = frozenset(
    {
        Code.INVALID_ARGUMENT,
        Code.NOT_FOUND,
        Code.ALREADY_EXISTS,
        Code.FAILED_PRECONDITION,
        Code.RESOURCE_EXHAUSTED,
    }
)
"""Refusals that say that nothing was done."""

_LATER: Final = Code.RESOURCE_EXHAUSTED
_PAUSE: Final = 0.2
_LOOK: Final = 2.0
"""After how many seconds without an answer a waiting caller looks by other means."""
_GRACE: Final = 5.0
"""How long an answer may take after the end that it waits for."""

_ONCE: Final = RetryPolicies(**dict.fromkeys(("create", "update", "delete", "read", "watch"), NO_RETRY))


class ForgottenError(TimeoutError):
    """What a caller waits for has happened long since, and it was not told."""


class GaveUpError(Exception):
    """Nobody answered for so long that the session cannot go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a session starts; a repeat is the same."""

    workflow: str
    request_id: str
    input: Mapping[str, Any]
    timeout: float | None = None


class Driver:
    """Calls servers, never twice by itself, and writes down each attempt.

    Args:
        clients: One for each address.
        recorder: Where attempts are written down.
        chance: Chooses the server of each attempt.
        patience: For how many seconds an operation is repeated while nobody answers.
    """

    def __init__(
        self, clients: Sequence[Client], recorder: Recorder, chance: random.Random, patience: float
    ) -> None:
        self._clients = clients
        self._recorder = recorder
        self._chance = chance
        self._patience = patience

    @property
    def patience(self) -> float:
        return self._patience

    async def start(self, what: Start, **marks: Any) -> Mapping[str, Any]:
        """Start until it is accepted.

        Raises:
            GaveUpError: It is refused.
        """

        async def attempt(weft: Client) -> dict[str, Any]:
            return _shown(
                await weft.executions.start(
                    what.workflow, what.input, request_id=what.request_id, timeout=_span(what.timeout)
                )
            )

        answer = await self._until_answered(
            "start", attempt, request_id=what.request_id, timeout=what.timeout, **marks
        )
        if "id" not in answer:
            raise GaveUpError(f"start {what.request_id} was refused: {answer['reason']}")
        return answer

    async def execute(self, what: Start) -> Mapping[str, Any]:
        """Start and wait for the end; who is forgotten notices by asking again."""

        async def attempt(weft: Client) -> dict[str, Any]:
            return _shown(
                await weft.executions.execute(
                    what.workflow,
                    what.input,
                    request_id=what.request_id,
                    timeout=_span(what.timeout),
                    wait=timedelta(seconds=self._patience * 2),
                )
            )

        async def ended() -> bool:
            return (await self.start(what))["state"] in FINAL

        return await self._until_answered(
            "execute", attempt, ended, request_id=what.request_id, timeout=what.timeout
        )

    async def watch(self, execution: str) -> Mapping[str, Any]:
        """Follow an execution from its first event to its end."""

        async def ended() -> bool:
            return (await self.get(execution))["state"] in FINAL

        async def attempt(weft: Client) -> dict[str, Any]:
            events: list[dict[str, Any]] = []
            try:
                async for event in weft.executions.watch(execution):
                    events += (event.to_dict(),)
            except (WeftError, asyncio.CancelledError):
                self._saw(execution, events)
                raise
            return {"id": execution, "events": events, "state": LAST_EVENTS.get(events[-1]["kind"], "")}

        return await self._until_answered("watch", attempt, ended, id=execution)

    def _saw(self, execution: str, events: Sequence[Mapping[str, Any]]) -> None:
        """Keep what was read before a stream broke."""
        if events:
            self._recorder.end(self._recorder.invoke("history", id=execution), Outcome.OK, events=events)

    async def history(self, execution: str) -> Mapping[str, Any]:
        async def attempt(weft: Client) -> dict[str, Any]:
            return {"events": [event.to_dict() async for event in weft.executions.history(execution)]}

        return await self._until_answered("history", attempt, id=execution)

    async def get(self, execution: str) -> Mapping[str, Any]:
        async def attempt(weft: Client) -> dict[str, Any]:
            return _shown(await weft.executions.get(execution))

        return await self._until_answered("get", attempt, id=execution)

    async def cancel(self, execution: str) -> Mapping[str, Any]:
        async def attempt(weft: Client) -> dict[str, Any]:
            return _shown(await weft.executions.cancel(execution, reason="the rig"))

        return await self._until_answered("cancel", attempt, expect=("EXECUTION_ENDED",), id=execution)

    async def signal(
        self, execution: str, name: str, payload: Mapping[str, Any], *, correlation: str, signal_id: str
    ) -> Mapping[str, Any]:
        """Bring a message; after the end it is refused."""

        async def attempt(weft: Client) -> dict[str, Any]:
            return _shown(
                await weft.executions.signal(
                    execution, name, payload, correlation=correlation, signal_id=signal_id
                )
            )

        return await self._until_answered(
            "signal",
            attempt,
            expect=("EXECUTION_ENDED",),
            id=execution,
            signal_id=signal_id,
            payload=dict(payload),
        )

    async def decide(self, execution: str, outcome: str, *, by: str) -> Mapping[str, Any]:
        """Decide what a step asks, in another name each time: the history tells which of them counted."""
        names = (f"{by}/{number}" for number in itertools.count(1))

        async def attempt(weft: Client, name: str) -> dict[str, Any]:
            return _shown(
                await weft.executions.decide(execution, outcome, by=name, step_id="ask", data={"word": name})
            )

        async def once() -> Mapping[str, Any] | None:
            name = next(names)
            return await self._once(
                "decide",
                lambda weft: attempt(weft, name),
                expect=("NO_APPROVAL", "EXECUTION_ENDED"),
                id=execution,
                outcome=outcome,
                by=name,
            )

        return await self._repeated(once, f"decide {execution}")

    async def start_otherwise(self, what: Start) -> Mapping[str, Any]:
        """Use a request id again for another input: to be refused."""

        async def attempt(weft: Client) -> dict[str, Any]:
            other = {**what.input, "token": f"{what.request_id}-other"}
            return _shown(
                await weft.executions.start(
                    what.workflow, other, request_id=what.request_id, timeout=_span(what.timeout)
                )
            )

        expect = ("REQUEST_ID_REUSED",)
        return await self._until_answered(
            "start", attempt, expect=expect, request_id=what.request_id, other_input=True
        )

    async def _until_answered(
        self,
        name: str,
        attempt: Callable[[Client], Awaitable[dict[str, Any]]],
        ended: Callable[[], Awaitable[bool]] | None = None,
        expect: Sequence[str] = (),
        **request: Any,
    ) -> Mapping[str, Any]:
        """Repeat until there is an answer, be it a refusal; each attempt is recorded."""
        return await self._repeated(
            lambda: self._once(name, attempt, ended, expect, **request), f"{name} {request}"
        )

    async def _repeated(
        self, once: Callable[[], Awaitable[Mapping[str, Any] | None]], what: str
    ) -> Mapping[str, Any]:
        end = asyncio.get_running_loop().time() + self._patience
        while (answer := await once()) is None:
            if asyncio.get_running_loop().time() > end:
                raise GaveUpError(what)
            await asyncio.sleep(_PAUSE)
        return answer

    async def _once(
        self,
        name: str,
        attempt: Callable[[Client], Awaitable[dict[str, Any]]],
        ended: Callable[[], Awaitable[bool]] | None = None,
        expect: Sequence[str] = (),
        **request: Any,
    ) -> Mapping[str, Any] | None:
        """Make one attempt, and record it; None when there was no answer."""
        number = self._recorder.invoke(name, **request)
        try:
            answer = await _watched(attempt(self._chance.choice(self._clients)), ended, self._patience)
        except WeftError as error:
            expected = error.reason in expect
            self._recorder.end(number, _outcome(error), reason=str(error.reason), expected=expected)
            certain = error.code in _CERTAIN and error.code is not _LATER
            return {"reason": str(error.reason), "state": ""} if certain else None
        except TimeoutError as error:
            self._recorder.end(number, Outcome.UNKNOWN, stuck=isinstance(error, ForgottenError))
            return {"state": ""}
        self._recorder.end(number, Outcome.OK, **answer)
        return answer


async def _watched(
    call: Awaitable[dict[str, Any]], ended: Callable[[], Awaitable[bool]] | None, patience: float
) -> dict[str, Any]:
    """Wait for an answer, as long as there is something to wait for.

    Raises:
        ForgottenError: What it waits for has ended, and nobody says so.
        TimeoutError: It does not end.
    """
    if ended is None:
        return await call
    waiting = asyncio.ensure_future(call)
    try:
        async with asyncio.timeout(patience):
            while not (await asyncio.wait((waiting,), timeout=_LOOK))[0]:
                if await ended() and not (await asyncio.wait((waiting,), timeout=_GRACE))[0]:
                    raise ForgottenError
        return waiting.result()
    finally:
        waiting.cancel()
        with suppress(asyncio.CancelledError, WeftError):
            await waiting


def _outcome(error: WeftError) -> Outcome:
    return Outcome.FAIL if error.code in _CERTAIN else Outcome.UNKNOWN


def _shown(execution: Execution) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": execution.id, "state": execution.state}
    if execution.state in FINAL and execution.input is not None:
        shown["result"] = execution.to_dict()["result"]
    return shown


def _span(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)


@asynccontextmanager
async def driving(
    addresses: Sequence[str], recorder: Recorder, chance: random.Random, patience: float = 60
) -> AsyncIterator[Driver]:
    """Own a driver with a connection to each address."""
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(connect(address, retry=_ONCE, timeout=timedelta(seconds=5)))
            for address in addresses
        ]
        yield Driver(clients, recorder, chance, patience)
