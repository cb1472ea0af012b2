"""Tables of requests that must be refused, and how each row is checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from google.protobuf.message import Message

from tests.support.world import World
from weft.core.errors import Code
from weft.core.metadata import MAX_METADATA_BYTES
from weft.core.reasons import DOMAIN, Reason, Rule

Request = Message | Callable[[World], Message]


@dataclass(frozen=True)
class Case:
    """A request, and why it is refused."""

    promise: str
    method: str
    request: Request
    code: Code
    reason: Reason
    violations: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return f"{self.method}: {self.promise}"


def faulty(promise: str, method: str, request: Request, *violations: tuple[str, Rule]) -> Case:
    """A request with faults, all of them."""
    listed = tuple((path, str(rule)) for path, rule in violations)
    return Case(promise, method, request, Code.INVALID_ARGUMENT, Reason.VALIDATION_FAILED, listed)


def missing(promise: str, method: str, request: Request, reason: Reason) -> Case:
    """A request that names what is not there."""
    return Case(promise, method, request, Code.NOT_FOUND, reason)


def taken(promise: str, method: str, request: Request, reason: Reason) -> Case:
    """A request for a name that somebody has."""
    return Case(promise, method, request, Code.ALREADY_EXISTS, reason)


def stale(method: str, request: Request) -> Case:
    """A change of what has changed since."""
    return Case("stale etag", method, request, Code.ABORTED, Reason.ETAG_MISMATCH)


def wrong_state(promise: str, method: str, request: Request, reason: Reason) -> Case:
    """A request that comes at the wrong time."""
    return Case(promise, method, request, Code.FAILED_PRECONDITION, reason)


async def check(world: World, case: Case) -> None:
    """Make the call, and see that it is refused as promised, stores nothing, and harms nobody."""
    before = await world.wire.state()
    request = case.request if isinstance(case.request, Message) else case.request(world)
    refusal = await world.wire.refusal(case.method, request)
    assert refusal.kind == (case.code, case.reason), refusal
    assert sorted(refusal.violations) == sorted(case.violations), refusal
    assert refusal.domain == DOMAIN
    assert refusal.size < MAX_METADATA_BYTES
    assert await world.wire.state() == before
    assert await world.is_well()
