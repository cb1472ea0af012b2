"""A connection per address, and more while it is full; dialled when needed, closed when idle or removed."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from contextvars import Context
from datetime import timedelta
from typing import Final

import grpc
import grpc.aio

from weft.core.clock import Clock
from weft.core.errors import WeftError
from weft.discovery.model import Endpoint
from weft.mesh.actions import UnreachableError
from weft.mesh.rpc import CHANNEL_OPTIONS

__all__ = ["ChannelPool", "Connection"]

_OPTIONS = (
    *CHANNEL_OPTIONS,
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.use_local_subchannel_pool", 1),
)
"""Channels share nothing, not even what the library remembers of an address that could not be connected."""

_CALM: Final = {"grpc.keepalive_time_ms": 360_000}
"""Of channels to servers that forbid to be pinged more often: gRPC's own default is once in five minutes."""

_FORBIDDEN: Final = "too many pings"
"""How such a server says it; Go writes underscores."""

_MOST_CALM: Final = 10_000
"""Servers that are known to be such; beyond that they are learnt anew."""

_MOST_CALLS: Final = 900
"""Calls on one connection, also such as wait for days. Above a server's limit, which is 1,000 for ours, gRPC
lets a call wait for the end of another one without a word."""

_READY: Final = grpc.ChannelConnectivity.READY

_HOPELESS: Final = frozenset({grpc.ChannelConnectivity.TRANSIENT_FAILURE, grpc.ChannelConnectivity.SHUTDOWN})

_Place = tuple[str, bool]
"""Address, and whether it is dialled with TLS."""


class Connection:
    """The channel to one address, and who uses it.

    Attributes:
        channel: What calls go over.
        in_flight: Calls that run there, and those that wait until it is connected.
        last_used: When the last of them ended.
        leaving: Whether no new call may start there: it is closed when the last one ends.
        made: How often it was made; another time may be to another process.
    """

    __slots__ = ("__weakref__", "channel", "in_flight", "last_used", "leaving", "made", "place")

    def __init__(self, place: _Place, channel: grpc.aio.Channel, now: float) -> None:
        self.place = place
        self.channel = channel
        self.in_flight = 0
        self.last_used = now
        self.leaving = False
        self.made = 0


class ChannelPool:
    """Shares connections between calls.

    Args:
        clock: For idleness.
        connect_timeout: How long one connection may take to be made.
        idle_timeout: After how long without a call a connection is closed.
        credentials: For endpoints that are dialled with TLS; by default the roots of the system.
        options: Of every channel; they win over those of the pool.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        connect_timeout: timedelta = timedelta(seconds=5),
        idle_timeout: timedelta = timedelta(minutes=5),
        credentials: grpc.ChannelCredentials | None = None,
        options: Sequence[tuple[str, str | int]] = (),
    ) -> None:
        self._clock = clock
        self._connect_timeout = connect_timeout.total_seconds()
        self._idle_timeout = idle_timeout.total_seconds()
        self._credentials = credentials
        self._options = tuple({**dict(_OPTIONS), **dict(options)}.items())
        self._calm_options = tuple({**dict(self._options), **_CALM}.items())
        self._connections: dict[_Place, Connection] = {}
        self._further: dict[_Place, list[Connection]] = {}
        """What there is beside a connection that is full, or was."""
        self._by_endpoint: dict[tuple[str, int, bool], Connection] = {}
        self._calm: set[_Place] = set()
        self._kept: dict[object, frozenset[_Place]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._warming: dict[_Place, asyncio.Task[None]] = {}
        self._next_sweep = clock.monotonic() + self._idle_timeout

    def ready(self, endpoint: Endpoint, *, multiplexed: bool = False) -> Connection | None:
        """Lend a connection to an endpoint, if a call can be sent there at once; to be given back.

        Args:
            endpoint: Which one.
            multiplexed: Whether the call shares a stream with others: then no connection is too full for it.
        """
        connection = self._by_endpoint.get((endpoint.host, endpoint.port, endpoint.secure))
        if connection is None or connection.leaving or connection.channel.get_state() is not _READY:
            return None
        if connection.in_flight >= _MOST_CALLS and not multiplexed:
            connection = self._with_room(connection.place, _READY)
            if connection is None:
                return None
        connection.in_flight += 1
        return connection

    def state(self, endpoint: Endpoint) -> grpc.ChannelConnectivity:
        """Return how far the connection to an endpoint is."""
        connection = self._by_endpoint.get((endpoint.host, endpoint.port, endpoint.secure))
        return connection.channel.get_state() if connection else grpc.ChannelConnectivity.IDLE

    async def connect(
        self, endpoint: Endpoint, service: str, timeout: float, *, multiplexed: bool = False
    ) -> Connection:
        """Lend a connection to an endpoint, and make it first where there is none; to be given back.

        Args:
            endpoint: Which one.
            service: Whose it is.
            timeout: Seconds that it may take.
            multiplexed: As for ``ready``.

        Raises:
            UnreachableError: It could not be connected in time.
        """
        place = (endpoint.address, endpoint.secure)
        connection = await self._lend(place, service, timeout, multiplexed=multiplexed)
        if self._connections.get(place) is connection:
            self._by_endpoint[endpoint.host, endpoint.port, endpoint.secure] = connection
        return connection

    def warm(self, endpoint: Endpoint, service: str, ended: Callable[[bool | None, float], None]) -> None:
        """Connect to an endpoint in the background, once at a time.

        Args:
            endpoint: Which one.
            service: Whose it is.
            ended: Is told whether it failed, and the seconds that it took; None when
                there is nothing to tell.
        """
        place = (endpoint.address, endpoint.secure)
        if place in self._warming:
            ended(None, 0.0)
            return
        # It is nobody's call: it has neither the deadline nor the ids of the one that needed it first.
        task = asyncio.create_task(self._warm(endpoint, place, service, ended), context=Context())
        self._warming[place] = task
        task.add_done_callback(lambda _: self._warming.pop(place, None))

    async def _warm(
        self, endpoint: Endpoint, place: _Place, service: str, ended: Callable[[bool | None, float], None]
    ) -> None:
        started = self._clock.monotonic()
        failed: bool | None = None
        try:
            self.give_back(await self.connect(endpoint, service, self._connect_timeout))
        except UnreachableError:
            failed = True
        finally:
            ended(failed, self._clock.monotonic() - started)
        if self._kept and not any(place in places for places in self._kept.values()):
            self._drain(place)  # it was removed meanwhile

    def give_back(self, connection: Connection, now: float | None = None) -> None:
        """Take note that a call which was lent a connection does not need it any more.

        Args:
            connection: Which one.
            now: The time, where the caller has just read the clock.
        """
        connection.in_flight -= 1
        connection.last_used = self._clock.monotonic() if now is None else now
        if connection.leaving and connection.in_flight == 0:
            self._close_soon(connection)

    def note(self, connection: Connection, error: WeftError) -> None:
        """Take note of why a call failed: a server that forbids pings is dialled again, and left in peace."""
        if _FORBIDDEN not in error.message.lower().replace("_", " "):
            return
        if len(self._calm) >= _MOST_CALM:
            self._calm.clear()
        self._calm.add(connection.place)
        self._drop(connection)

    @asynccontextmanager
    async def channel(
        self, address: str, service: str, timeout: float, *, secure: bool = False
    ) -> AsyncIterator[grpc.aio.Channel]:
        """Lend the connected channel to an address.

        Raises:
            UnreachableError: It could not be connected in time.
        """
        connection = await self._lend((address, secure), service, timeout)
        try:
            yield connection.channel
        finally:
            self.give_back(connection)

    def keep(self, owner: object, endpoints: Iterable[Endpoint]) -> None:
        """Say which endpoints somebody may call; connections that nobody may use any more are drained.

        Args:
            owner: Who says so; what it said before does not hold any more.
            endpoints: All that it may call. None at all: it has gone.
        """
        before = self._kept.pop(owner, frozenset())
        now = frozenset((each.address, each.secure) for each in endpoints)
        if now:
            self._kept[owner] = now
        for place in before - now:
            if not any(place in places for places in self._kept.values()):
                self._drain(place)

    def sweep(self) -> None:
        """Close what was idle for long; looks at most once per idle time."""
        now = self._clock.monotonic()
        if now < self._next_sweep:
            return
        self._next_sweep = now + self._idle_timeout
        for connection in self._all():
            if connection.in_flight == 0 and now - connection.last_used >= self._idle_timeout:
                self._leave(connection)

    async def close(self) -> None:
        """Close every channel; calls in flight are cancelled."""
        warming = list(self._warming.values())
        for task in warming:
            task.cancel()
        await asyncio.gather(*warming, return_exceptions=True)
        connections = self._all()
        self._connections.clear()
        self._further.clear()
        self._by_endpoint.clear()
        self._kept.clear()
        for connection in connections:
            connection.leaving = True
            await connection.channel.close()
        if self._closing:
            await asyncio.gather(*self._closing)

    async def _lend(
        self, place: _Place, service: str, timeout: float, *, multiplexed: bool = False
    ) -> Connection:
        self.sweep()
        connection = self._connections.get(place)
        if connection is None:
            connection = self._connections[place] = self._new(place)
        elif connection.in_flight >= _MOST_CALLS and not multiplexed:
            connection = self._with_room(place) or self._one_more(place)
        connection.in_flight += 1
        try:
            if await _connect(connection.channel, place[0], service, min(timeout, self._connect_timeout)):
                connection.made += 1
        except UnreachableError:
            # Its back-off would go on failing calls for seconds after the instance is back. But a call
            # that had too little time must not end the dialling for those that come after it.
            if timeout >= self._connect_timeout or connection.channel.get_state() in _HOPELESS:
                self._drop(connection)
            self.give_back(connection)
            raise
        except BaseException:
            self.give_back(connection)
            raise
        return connection

    def _with_room(self, place: _Place, state: grpc.ChannelConnectivity | None = None) -> Connection | None:
        """Return a further connection to which calls may be added, if there is one in that state."""
        for each in self._further.get(place, ()):
            if each.in_flight < _MOST_CALLS and (state is None or each.channel.get_state() is state):
                return each
        return None

    def _all(self) -> list[Connection]:
        return [*self._connections.values(), *(each for more in self._further.values() for each in more)]

    def _one_more(self, place: _Place) -> Connection:
        made = self._new(place)
        self._further.setdefault(place, []).append(made)
        return made

    def _new(self, place: _Place) -> Connection:
        return Connection(place, self._open(place), self._clock.monotonic())

    def _open(self, place: _Place) -> grpc.aio.Channel:
        address, secure = place
        options = self._options if place not in self._calm else self._calm_options
        if not secure:
            return grpc.aio.insecure_channel(_target(address), options=options)
        credentials = self._credentials or grpc.ssl_channel_credentials()
        return grpc.aio.secure_channel(_target(address), credentials, options=options)

    def _drop(self, connection: Connection) -> None:
        """Let no new call in."""
        connection.leaving = True
        further = self._further.get(connection.place, [])
        if connection in further:
            further.remove(connection)
        if not further:
            self._further.pop(connection.place, None)
        if self._connections.get(connection.place) is connection:
            del self._connections[connection.place]
        for key in [key for key, each in self._by_endpoint.items() if each is connection]:
            del self._by_endpoint[key]

    def _drain(self, place: _Place) -> None:
        """Let no new call to an address in."""
        for connection in self._all():
            if connection.place == place:
                self._leave(connection)

    def _leave(self, connection: Connection) -> None:
        self._drop(connection)
        if connection.in_flight == 0:
            self._close_soon(connection)

    def _close_soon(self, connection: Connection) -> None:
        """Close a channel after what is being done now: it may be the end of its last call."""
        task = asyncio.ensure_future(connection.channel.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def _connect(channel: grpc.aio.Channel, address: str, service: str, timeout: float) -> bool:
    """Connect, and return whether that was necessary."""
    state = channel.get_state(try_to_connect=True)
    if state is _READY:
        return False
    try:
        async with asyncio.timeout(timeout):
            while state is not _READY:
                if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                    raise UnreachableError(service, f"no connection to {service} at {address}")
                if state is grpc.ChannelConnectivity.SHUTDOWN:
                    raise UnreachableError(service, f"the connection to {service} at {address} was closed")
                await channel.wait_for_state_change(state)
                state = channel.get_state(try_to_connect=True)
    except TimeoutError:
        raise UnreachableError(
            service, f"no connection to {service} at {address} within {timeout:.1f} s"
        ) from None
    return True


def _target(address: str) -> str:
    """Say how to dial, so that no registered name can choose another scheme, such as a Unix socket."""
    host = address.rpartition(":")[0].removeprefix("[").removesuffix("]")
    try:
        return f"ipv{ipaddress.ip_address(host).version}:{address}"
    except ValueError:
        return f"dns:///{address}"
