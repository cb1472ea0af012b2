"""Carries out orders, wherever the execution is: in memory here, in the store, or at another server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import timedelta
from typing import Final, NamedTuple

from weft.core.errors import (
    AlreadyExistsError,
    PreconditionError,
    ResourceNotFoundError,
    ServiceUnavailableError,
    WeftError,
)
from weft.core.reasons import Reason
from weft.server.execution.engine.engine import Engine, draining
from weft.server.execution.history.model import Event, Execution
from weft.server.execution.history.standing import Standing
from weft.server.execution.orders.messages import SendSignal
from weft.server.execution.orders.order_forms import ORDER_KINDS, read_order
from weft.server.execution.orders.orders import Order
from weft.server.forms import NewerReleaseError
from weft.server.store.base import Command, ExecutionStore, RequestKey, StaleWriteError
from weft.server.tasks import to_its_end

__all__ = ["Control"]

_log = logging.getLogger("weft.server.engine")

_RECHECK_SECONDS: Final = 0.5
"""How often one who waits looks again at an execution that is not here."""
_NUDGES: Final = 3
"""How often an execution is looked for that was let go of just then."""
_POST_AGAIN_SECONDS: Final = 3.0
"""After how long an order is left again: its owner may have died with it."""
_PATIENCE_SECONDS: Final = 20.0
"""How long the server that owns an execution may take: longer than its lease, should it be dead."""


class _Posted(NamedTuple):
    """An order that was left for another server."""

    moment: float
    last_event: int


class Control:
    """Carries out orders.

    Args:
        store: Where executions are.
        engine: Has those of this server.
    """

    def __init__(self, store: ExecutionStore, engine: Engine) -> None:
        self._store = store
        self._engine = engine
        engine.claims.obey = self._obey
        engine.claims.obeys = ORDER_KINDS

    async def carry_out(self, order: Order) -> Execution:
        """Do what is asked of an open execution, and return it.

        Raises:
            ResourceNotFoundError: EXECUTION_NOT_FOUND.
            PreconditionError: EXECUTION_ENDED, or of the order.
            ServiceUnavailableError: SERVER_DRAINING; or its owner did not do it in time.
        """
        loop = asyncio.get_running_loop()
        give_up = loop.time() + _PATIENCE_SECONDS
        posted: _Posted | None = None
        while True:
            try:
                done, posted = await self._try(order, posted)
            except WeftError as error:
                # Perhaps refused for being done: what was left is done by whoever has it, here as well.
                done = await self._done_as_left(order, posted) or await self._done_before(order, error)
                if done is None:
                    raise
            if done is not None:
                return done
            if loop.time() > give_up:
                raise _unheard(order.execution_id)
            await self.look_again(order.execution_id)

    async def _try(self, order: Order, posted: _Posted | None) -> tuple[Execution | None, _Posted | None]:
        """Do what is asked, or leave it for whoever can; return the execution once it is done."""
        with contextlib.suppress(StaleWriteError):
            done = await self._carry_out_here(order)
            if done is not None:
                return done, posted
        execution = await self._existing(order.execution_id)
        if posted is not None and await self._done(order, execution, posted.last_event):
            return execution, posted
        if execution.state.final:
            raise ended(execution)
        if self._engine.draining:
            raise draining()
        if self._engine.has(order.execution_id):
            return None, posted
        standing = await self.standing(execution)
        if posted is not None and order.met(standing):
            return execution, posted
        order.check(standing)
        return None, await self._leave(order, execution, posted)

    async def _leave(self, order: Order, execution: Execution, posted: _Posted | None) -> _Posted:
        now = asyncio.get_running_loop().time()
        if posted is not None and now - posted.moment <= _POST_AGAIN_SECONDS:
            return posted
        await self._store.post_command(order.command())
        return _Posted(now, execution.last_event)

    async def _done_as_left(self, order: Order, posted: _Posted | None) -> Execution | None:
        """Return the execution when an order that was left has been carried out."""
        if posted is None:
            return None
        execution = await self._existing(order.execution_id)
        return execution if await self._done(order, execution, posted.last_event) else None

    async def _done_before(self, order: Order, error: WeftError) -> Execution | None:
        """Return the execution when a repeat of an order was refused because it has ended since."""
        if not order.named or error.reason != Reason.EXECUTION_ENDED:
            return None
        execution = await self._existing(order.execution_id)
        return execution if await self._event_of(order, execution) else None

    async def brought(self, signal: SendSignal, execution: Execution) -> bool:
        """Tell whether an execution got this very message, and not another one under its id."""
        found = await self._event_of(signal, execution)
        if found is None:
            return False
        whole = await self._store.read_events(execution.id, after=found.number - 1, limit=1)
        return any(signal.is_in(event.body) for event in whole)

    async def started_by(self, key: RequestKey | None, execution: Execution) -> bool:
        """Tell whether a request started an execution, when it was made before."""
        if key is None:
            return False
        with contextlib.suppress(AlreadyExistsError):  # the key was that of another request
            first = await self._store.recall_execution(key)
            return first is not None and first.id == execution.id
        return False

    async def nudge(self, order: Order) -> None:
        """Do something, or leave it for whoever can, without waiting for that.

        Raises:
            WeftError: It cannot be done.
        """
        for _ in range(_NUDGES):
            with contextlib.suppress(StaleWriteError):  # it was let go of at this moment: then it is nobody's
                if await self._carry_out_here(order) is not None:
                    return
                break
        execution = await self._store.get_execution(order.execution_id)
        if execution is not None and not execution.state.final:
            await self._store.post_command(order.command())

    async def _carry_out_here(self, order: Order) -> Execution | None:
        """Do what is asked of an execution that is here or nobody's; None when it is neither.

        A caller who leaves does not stop it half way: what is on its way to the disk is recorded here too.
        """
        run = self._engine.owned(order.execution_id)
        if run is not None:
            await to_its_end(self._engine.command(run, order.decide))
            return run.execution
        if self._engine.draining or not self._engine.reserve(order.execution_id):
            return None
        return await to_its_end(self._claim(order))

    async def _claim(self, order: Order) -> Execution | None:
        """Own an execution that is nobody's, do what is asked, and drive it from there."""
        try:
            claim = await self._store.claim_execution(order.execution_id)
            if claim is None:
                raise ResourceNotFoundError("execution", order.execution_id)
            if not claim.granted or claim.execution.state.final:
                return None
            run = await self._engine.claims.take_in(claim.execution)
            if run is None or self._engine.owned(order.execution_id) is not None:
                return None  # it cannot go on, or was taken on here while it was read
            self._engine.hold(run)
        finally:
            self._engine.settled(order.execution_id)
        try:
            first = self._engine.claims.first(run, "it was claimed")
            await self._engine.command(run, lambda _: first)
            await self._engine.command(run, order.decide)
        finally:
            if self._engine.owned(order.execution_id) is run:  # else somebody drives it already
                self._engine.go(run)
        return run.execution

    async def _obey(self, command: Command) -> None:
        """Carry out what another server left for this one; what cannot be done any more is dropped.

        Raises:
            NewerReleaseError: Only a server of that one can.
        """
        try:
            order = read_order(command)
            if await self._carry_out_here(order) is not None:
                return
            if not (await self._existing(command.execution_id)).state.final:
                await self._store.post_command(command)  # another server has it by now
        except NewerReleaseError:
            raise
        except (WeftError, StaleWriteError) as error:
            _log.info("order %s for %s: %s", command.kind, command.execution_id, error)

    async def look_again(self, execution_id: str) -> None:
        """Wait a moment for news of an execution that is not here."""
        with self._engine.hub.follow(execution_id) as news:
            changed = news.next_change()
            if self._engine.owned(execution_id) is None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_RECHECK_SECONDS):
                        await changed.wait()

    async def _existing(self, execution_id: str) -> Execution:
        found = await self._store.get_execution(execution_id)
        if found is None:
            raise ResourceNotFoundError("execution", execution_id)
        return found

    async def _done(self, order: Order, execution: Execution, after: int) -> bool:
        """Tell whether the history since an event says that an order was carried out."""
        return await self._event_of(order, execution, after, payloads=True) is not None

    async def _event_of(
        self, order: Order, execution: Execution, after: int = 0, *, payloads: bool = False
    ) -> Event | None:
        """Return what the history since an event says of an order that was carried out."""
        while after < execution.last_event:
            events = await self._store.read_events(execution.id, after=after, payloads=payloads)
            if found := next((event for event in events if order.recorded(event.body)), None):
                return found
            after = events[-1].number if events else execution.last_event
        return None

    async def standing(self, execution: Execution) -> Standing:
        """Return where an execution stands, by what is stored."""
        standing, last = Standing(), 0
        events: tuple[Event, ...]
        while events := await self._store.read_events(execution.id, after=last, payloads=False):
            for event in events:
                standing.apply(event)
            last = events[-1].number
        return standing


def ended(execution: Execution) -> PreconditionError:
    """Say that nothing can be asked of an execution any more."""
    return PreconditionError(
        f"the execution is {execution.state} already",
        reason=Reason.EXECUTION_ENDED,
        metadata={"execution_id": execution.id, "state": str(execution.state)},
    )


def _unheard(execution_id: str) -> ServiceUnavailableError:
    return ServiceUnavailableError(
        "weft",
        "the server that runs the execution does not answer; the order is kept for whoever takes it over",
        reason=Reason.OWNER_UNREACHABLE,
        metadata={"execution_id": execution_id},
        retry_after=timedelta(seconds=1),
    )
