"""Finding an instance for a call, and a connection to it: dials, passes over, waits, gives up."""

from __future__ import annotations

from typing import Final

import grpc

from weft.mesh._calls.detour import connected_one
from weft.mesh._calls.origin import Origin
from weft.mesh._calls.outcome import Failure, failure_of
from weft.mesh.actions import UnreachableError
from weft.mesh.balancing import Node
from weft.mesh.pool import Connection
from weft.mesh.route import Route

__all__ = ["Placing", "Tried", "UnplacedError"]

_FIRST_PAUSE: Final = 0.1
_LAST_PAUSE: Final = 1.0
"""Seconds between rounds of dialling instances that could not be connected."""

_LONG: Final = 60.0
"""Seconds after which a call that waits for ready looks again, though nothing has changed."""

_MOST_SEEN: Final = 5


class Tried:
    """What is known of the instances that a call has tried.

    Attributes:
        avoid: Those that failed, to be called only when there is no other.
        refused: Those that must not be called again, for now.
        seen: What became of instances, by address, for people.
    """

    __slots__ = ("avoid", "refused", "seen")

    def __init__(self) -> None:
        self.avoid: set[Node] = set()
        self.refused: set[Node] = set()
        self.seen: dict[str, str] = {}

    def refuse(self, node: Node, why: str) -> None:
        """Take note of an instance that cannot take the call."""
        self.refused.add(node)
        self.seen[node.endpoint.address] = why


class UnplacedError(Exception):
    """No instance can be called; ``failure`` is how the call ends."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.details)
        self.failure = failure


class Placing:
    """Looks for an instance that a call can be sent to.

    Args:
        origin: The channel's.
        route: The service.
        key: What keeps the call together with others.
        deadline: When the call ends at the latest.
        waits: Whether the call waits for ready.
        tried: What is known of the instances that were tried; grows with those that cannot be connected.
    """

    def __init__(
        self,
        origin: Origin,
        route: Route,
        key: str,
        deadline: float | None,
        tried: Tried,
        *,
        waits: bool,
    ) -> None:
        self._origin = origin
        self._route = route
        self._key = key
        self._deadline = deadline
        self._waits = waits
        self._tried = tried
        self._pause = _FIRST_PAUSE
        self._patience = origin.monotonic() + origin.options.first_answer.total_seconds()

    async def connected(self, node: Node | None) -> tuple[Node, Connection]:
        """Return an instance and the connection to it, lent.

        Args:
            node: The one to begin with, which was picked already.

        Raises:
            UnplacedError: There is none.
        """
        while True:
            node = node or self._pick()
            if node is None:
                await self._wait()
                continue
            node, connection = connected_one(
                self._origin, self._route, node, self._tried.refused | self._tried.avoid
            )
            connection = connection or await self._dial(node)
            if connection is not None:
                return node, connection
            node = None

    def _pick(self) -> Node | None:
        refused, avoid = self._tried.refused, self._tried.avoid
        node = self._route.pick(self._key, refused | avoid)
        if node is None and avoid:
            node = self._route.pick(self._key, refused)
        return node

    async def _dial(self, node: Node) -> Connection | None:
        """Connect to an instance; what cannot be connected is passed over."""
        started = self._origin.monotonic()
        left = self._left(started)
        failed: bool | None = None
        try:
            self._check(left)
            connection = await self._origin.pool.connect(node.endpoint, self._route.service, left)
        except UnreachableError as error:
            failed = self._left(self._origin.monotonic()) > 0 or None  # else time ran out; it is not to blame
            self._tried.refuse(node, error.message)
            connection = None
        except BaseException:
            self._route.done(node, None, 0.0)
            raise
        if connection is not None and self._route.holds(node):
            return connection
        self._route.done(node, failed, self._origin.monotonic() - started)
        if connection is not None:  # it was removed while it was dialled
            self._origin.pool.give_back(connection)
        return None

    async def _wait(self) -> None:
        """Wait until it is worth looking again.

        Raises:
            UnplacedError: It is not.
        """
        moment = self._origin.monotonic()
        left = self._left(moment)
        self._check(left)
        if not self._waits:
            left = min(left, self._patience - moment)
            if self._route.known or left <= 0 or self._route.closed:
                raise UnplacedError(failure_of(self._route.unavailable(self._texts())))
        await self._route.moment(min(left, self._pause if self._tried.refused else _LONG))
        self._pause = min(self._pause * 2, _LAST_PAUSE)
        self._tried.refused.clear()

    def _left(self, moment: float) -> float:
        return float("inf") if self._deadline is None else self._deadline - moment

    def _check(self, left: float) -> None:
        if left > 0:
            return
        error = self._route.unavailable(self._texts())
        text = f"Deadline Exceeded: {error.message}"
        raise UnplacedError(Failure(grpc.StatusCode.DEADLINE_EXCEEDED, text))

    def _texts(self) -> list[str]:
        texts = list(self._tried.seen.values())
        more = len(texts) - _MOST_SEEN
        return texts if more <= 0 else [*texts[:_MOST_SEEN], f"and {more} more"]
