"""Keeps one instance in Consul's list for as long as it lives."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from types import TracebackType
from typing import Any, Final, Self

from weft.core.clock import Clock, SystemClock
from weft.core.errors import Code, WeftError
from weft.discovery.backoff import Backoff
from weft.discovery.consul.client import ConsulClient
from weft.discovery.consul.registration import STATUS, HealthReport, Registration
from weft.discovery.model import Health

__all__ = ["ConsulRegistrar"]

_log = logging.getLogger("weft.discovery.consul")

_MAX_NOTE: Final = 4_000
_CLOSE: Final = timedelta(seconds=3)


async def _passing() -> HealthReport:
    return HealthReport()


class ConsulRegistrar:
    """Registers an instance, reports its true health, and registers it again when Consul forgot it.

    Every third of the time to live it reads its own entry, which costs the agent
    nothing, and reports. An entry that is gone is made again at once. While the
    agent does not answer it is asked again after at most two seconds, so that the
    list is complete soon after the agent is back. A process whose id somebody
    else has taken reports nothing, until the id is free again: the newer one wins.

    Args:
        client: How Consul is reached; stays open.
        registration: The instance.
        health: Says how well the instance is. One that raises or takes longer
            than a third of the time to live counts as critical.
        clock: Times the heartbeats.
        backoff: The pauses while Consul does not answer.
    """

    def __init__(
        self,
        client: ConsulClient,
        registration: Registration,
        *,
        health: Callable[[], Awaitable[HealthReport]] = _passing,
        clock: Clock | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self._client = client
        self._config = client.config
        self._registration = registration
        self._health = health
        self._clock = clock or SystemClock()
        self._backoff = backoff or Backoff(last=timedelta(seconds=2))
        self._interval = self._config.ttl.total_seconds() / 3
        self._registered = asyncio.Event()
        self._asked = asyncio.Event()
        """Set when the next heartbeat shall not wait."""
        self._closing = False
        self._placed: Registration | None = None
        """What the agent was sent."""
        self._sent = False
        """Whether the agent may have it, whatever it answered."""
        self._replaced = False
        self._draining = False
        """Whether the agent has it in maintenance mode."""
        self._problem = ""
        self._task: asyncio.Task[None] | None = None

    @property
    def registered(self) -> bool:
        """Whether the agent had the instance when it last answered."""
        return self._registered.is_set()

    @property
    def problem(self) -> str:
        """Why it is not registered, or may not be any more; empty when all is well."""
        return self._problem

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def start(self) -> None:
        """Begin; an agent that does not answer holds nobody up."""
        name = f"consul registration {self._registration.endpoint.instance_id}"
        self._task = self._task or asyncio.create_task(self._run(), name=name)

    async def wait_registered(self) -> None:
        """Wait until the agent has the instance."""
        await self._registered.wait()

    def poke(self) -> None:
        """Report health now: it has changed."""
        self._asked.set()

    def update(self, registration: Registration) -> None:
        """Register it with other values, at once; the id stays.

        Raises:
            ValueError: The id is another one.
        """
        if registration.endpoint.instance_id != self._registration.endpoint.instance_id:
            raise ValueError("the id of a registered instance stays")
        self._registration = registration
        self._asked.set()

    async def close(self, within: timedelta = _CLOSE) -> None:
        """Take the instance out of the list.

        Args:
            within: How long that may take. Consul removes what is left by itself,
                after ``deregister_after``.
        """
        task, self._task, self._closing = self._task, None, True
        self._asked.set()
        if task is None:
            return
        try:
            async with asyncio.timeout(within.total_seconds()):
                # A request under way shall not arrive after the one that takes the entry out.
                await asyncio.wait({task}, timeout=within.total_seconds() / 2)
                task.cancel()
                await self._leave()
        except (TimeoutError, WeftError) as error:
            _log.log(
                logging.WARNING if self._sent else logging.DEBUG,
                "instance %s stays in Consul's list until it is removed as critical: %s",
                self._registration.endpoint.instance_id,
                str(error) or "no answer in time",
            )
        finally:
            task.cancel()
            self._registered.clear()
        await asyncio.gather(task, return_exceptions=True)

    async def _leave(self) -> None:
        service_id = self._registration.endpoint.instance_id
        found = await self._client.instance(service_id)
        if found is not None and self._is_mine(found):
            await self._client.deregister(service_id)
            _log.info("instance %s is deregistered from Consul", service_id)

    async def _run(self) -> None:
        while not self._closing:
            self._asked.clear()
            pause = self._interval
            try:
                await self._beat()
                self._backoff.reset()
            except WeftError as error:
                self._failed(str(error), said=error.code is Code.PERMISSION_DENIED)
                pause = min(self._backoff.pause(), self._interval)
            except Exception as error:  # nothing may end the heartbeats
                _log.exception("a heartbeat to Consul failed")
                self._failed(str(error))
            if not self._closing:
                await self._pause(pause)

    async def _beat(self) -> None:
        """Report once: register when the agent has lost us, else tell our health."""
        report = await self._report()
        registration = self._registration
        found = await self._client.instance(registration.endpoint.instance_id)
        if found is not None and not self._is_mine(found) and not self._may_take(found):
            return
        check_id, status, note = registration.check_id, STATUS[report.health], _note(report)
        known = found is not None and self._placed is registration
        if known and await self._client.report(check_id, status, note):
            self._works(registration)
        else:
            await self._register(registration, report)
            if note:
                await self._client.report(check_id, status, note)
        await self._maintain(draining=report.health is Health.DRAINING)

    async def _maintain(self, *, draining: bool) -> None:
        """Show by maintenance mode that an instance is draining, not sick."""
        if draining is not self._draining:
            service_id = self._registration.endpoint.instance_id
            await self._client.maintain(service_id, enable=draining, reason="draining")
            self._draining = draining

    async def _register(self, registration: Registration, report: HealthReport) -> None:
        again = self._registered.is_set() and self._placed is registration
        self._sent = True
        await self._client.register(registration.definition(self._config, report))
        self._placed = registration
        self._draining = False  # registering ends the maintenance mode
        if again:
            _log.warning(
                "Consul had lost instance %s; it is registered again", registration.endpoint.instance_id
            )
        self._works(registration)

    def _is_mine(self, found: dict[str, Any]) -> bool:
        known = (self._registration, self._placed or self._registration)
        return any(registration.is_in(found, self._config) for registration in known)

    def _may_take(self, found: dict[str, Any]) -> bool:
        """Decide on an entry of our id that is of somebody else; the newer one has it."""
        endpoint = self._registration.endpoint
        where = f"{found.get('Service')} at {found.get('Address')}:{found.get('Port')}"
        if self._placed is None:
            _log.warning(
                "id %r was registered in Consul for %s; the instance at %s takes it over",
                endpoint.instance_id,
                where,
                endpoint.address,
            )
            return True
        if not self._replaced:
            self._problem = f"id {endpoint.instance_id!r} is now registered for {where}"
            _log.error(
                "%s: the instance at %s is not in Consul's list any more; give each its own id",
                self._problem,
                endpoint.address,
            )
        self._replaced = True
        self._registered.clear()
        return False

    async def _report(self) -> HealthReport:
        try:
            async with asyncio.timeout(self._interval):
                return await self._health()
        except TimeoutError:
            note = f"the health check did not answer within {self._interval:.1f} s"
        except Exception as error:  # it is the instance's own code
            note = f"the health check failed: {type(error).__name__}: {error}"
        return HealthReport(health=Health.CRITICAL, note=note)

    def _works(self, registration: Registration) -> None:
        if self._problem or not self._registered.is_set():
            _log.info(
                "instance %s is registered in Consul as %s at %s",
                registration.endpoint.instance_id,
                self._client.name(registration.service),
                registration.endpoint.address,
            )
        self._problem = ""
        self._replaced = False
        self._registered.set()

    def _failed(self, problem: str, *, said: bool = False) -> None:
        if not self._problem and not said:
            _log.warning(
                "instance %s cannot be kept registered: %s",
                self._registration.endpoint.instance_id,
                problem,
            )
        self._problem = problem

    async def _pause(self, seconds: float) -> None:
        timer = asyncio.ensure_future(self._clock.sleep(seconds))
        asked = asyncio.ensure_future(self._asked.wait())
        try:
            await asyncio.wait({timer, asked}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            asked.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(timer, asked, return_exceptions=True)


def _note(report: HealthReport) -> str:
    """Return what people read beside the state, as long as Consul shows it.

    It is never empty for a bad state: that is how a report differs from silence.
    """
    note = report.note or ("" if report.health is Health.PASSING else "reported by the instance")
    return note.encode(errors="replace")[:_MAX_NOTE].decode(errors="ignore")
