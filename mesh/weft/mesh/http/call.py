"""One call: its attempts, where they go, and when the next one may be made."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from weft.core.errors import (
    DeadlineExceededError,
    ExhaustedError,
    MaxRetriesExceededError,
    ServiceUnavailableError,
    WeftError,
)
from weft.core.reasons import Reason
from weft.mesh.balancing import Node
from weft.mesh.http.attempt import Attempt, Means
from weft.mesh.http.faults import (
    BrokenError,
    HttpFault,
    NotConnectedError,
    Phase,
    TimedOutError,
    TooLargeError,
)
from weft.mesh.http.request import PreparedRequest
from weft.mesh.http.status import Subject, retry_after, unavailable
from weft.mesh.policies.retry import RandomSource, backoff
from weft.mesh.route import Route

__all__ = ["HttpCall"]

_log = logging.getLogger("weft.mesh")

_FIRST_PAUSE: Final = 0.1
_LAST_PAUSE: Final = 1.0
"""Seconds between rounds of dialling the instances that could not be connected."""

_TRY_AGAIN: Final = frozenset({502, 503, 504})
_TOO_MANY: Final = 429
_SHOWN: Final = 200


class HttpCall:
    """One call of a service: makes attempts until there is an answer, or none can be had.

    Args:
        means: What attempts work with.
        route: The service.
        request: What to send.
        total: Seconds for everything.
        chance: For jitter.
        hash_key: What a balancer may keep together.
    """

    def __init__(
        self,
        means: Means,
        route: Route,
        request: PreparedRequest,
        *,
        total: float,
        chance: RandomSource,
        hash_key: str = "",
    ) -> None:
        self._means = means
        self._route = route
        self._request = request
        self._chance = chance
        self._hash_key = hash_key
        now = means.clock.monotonic()
        self._total = total
        self._end = now + total
        self._give_up = now + min(means.config.instance_wait.total_seconds(), total)
        self._pause = _FIRST_PAUSE
        self._attempts = 0
        self._unreachable: dict[Node, str] = {}
        self._failed: set[Node] = set()
        self.sent = 0
        """How many attempts reached an instance."""
        route.budget.called(now)

    async def open(self) -> Attempt:
        """Make attempts until one has the head of an answer that is final.

        Raises:
            HttpFault: The last attempt had none.
            WeftError: No instance can be called, or time ran out before one could.
        """
        while True:
            attempt = await self._next()
            try:
                await attempt.open(self._left())
            except NotConnectedError as error:
                self._note_unreachable(attempt.node, str(error))
                continue
            except BrokenError as error:
                self.sent += 1
                if not await self.again(attempt):
                    raise self.error(error, attempt) from None
                continue
            except HttpFault as error:
                raise self.error(error, attempt) from None
            self.sent += 1
            if not (self._worth_a_retry(attempt) and await self.again(attempt)):
                return attempt

    async def again(self, attempt: Attempt) -> bool:
        """Wait until the next attempt may be made; False: there may be none.

        Args:
            attempt: The last one; it is ended when there is a next one.
        """
        policy = self._means.config.retry
        if not self._request.repeatable or self.sent > policy.max_retries:
            return False
        asked = self.retry_after(attempt.headers) or timedelta()
        wait = max(backoff(policy, self.sent, self._chance), asked).total_seconds()
        if wait >= self._left() or not self._route.budget.retry(self._means.clock.monotonic()):
            return False
        attempt.end()
        self._failed.add(attempt.node)
        await self._means.clock.sleep(wait)
        return True

    def retry_after(self, headers: Mapping[str, str]) -> timedelta | None:
        """Return how long an answer asks to wait."""
        return retry_after(headers.get("retry-after"), self._means.clock.now())

    def _worth_a_retry(self, attempt: Attempt) -> bool:
        """Say whether another attempt may end better; of a limit only when it says when."""
        if attempt.status == _TOO_MANY:
            return self.retry_after(attempt.headers) is not None
        return attempt.status in _TRY_AGAIN

    async def _next(self) -> Attempt:
        node = await self._instance()
        self._attempts += 1
        return Attempt(self._means, self._route, node, self._request, self._attempts)

    async def _instance(self) -> Node:
        """Pick an instance; when none is left to try, wait for one until it is time to give up."""
        while True:
            node = self._route.pick(self._hash_key, self._failed | self._unreachable.keys())
            if node is not None:
                return node
            if self._failed:
                self._failed.clear()
                continue
            left = self._give_up - self._means.clock.monotonic()
            error = self._unavailable()
            # Waiting helps against an outage, not against a version that nobody has.
            if left <= 0 or (self._route.known and not error.retryable):
                raise error
            await self._route.moment(min(self._pause, left) if self._unreachable else left)
            self._pause = min(self._pause * 2, _LAST_PAUSE)
            self._unreachable.clear()

    def _unavailable(self) -> WeftError:
        seen = (f"{node.endpoint.address}: {why}" for node, why in self._unreachable.items())
        return self._route.unavailable(seen)

    def _note_unreachable(self, node: Node, why: str) -> None:
        _log.debug("no connection to %s at %s: %s", self._route.service, node.endpoint.address, why)
        self._unreachable[node] = why

    def _left(self) -> float:
        """Return the seconds that are left; never zero, so that an attempt ends by its own timer."""
        return max(0.001, self._end - self._means.clock.monotonic())

    def subject(self, attempt: Attempt) -> Subject:
        """Return what errors say of an attempt."""
        path = self._request.path.partition("?")[0][:_SHOWN]
        return Subject(
            service=self._route.service,
            label=f"{self._request.method} {path} of {self._route.service}",
            names={
                "service": self._route.service,
                "method": self._request.method,
                "path": path,
                "instance_id": attempt.node.endpoint.instance_id,
            },
        )

    def error(self, fault: HttpFault, attempt: Attempt) -> WeftError:
        """Return what a fault means for the caller."""
        subject = self.subject(attempt)
        text = f"{subject.label} at {attempt.node.endpoint.address}: {fault}"
        if isinstance(fault, TimedOutError):
            return self._late(fault, text, subject)
        if isinstance(fault, TooLargeError):
            return ExhaustedError(text, reason=Reason.ACTION_OUTPUT_TOO_LARGE, metadata=subject.names)
        return self._broken(unavailable(subject, text))

    def _broken(self, error: ServiceUnavailableError) -> WeftError:
        return MaxRetriesExceededError(self.sent, error) if self.sent > 1 else error

    def _late(self, fault: TimedOutError, text: str, subject: Subject) -> DeadlineExceededError:
        reason = Reason.DEADLINE_EXCEEDED if fault.phase is Phase.TOTAL else Reason.ACTION_TIMEOUT
        return DeadlineExceededError(text, reason=reason, metadata={**subject.names, "phase": fault.phase})
