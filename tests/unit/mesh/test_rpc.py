"""Errors across a real call: what a servicer raises is what the caller catches."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.core.test_status import ERRORS
from weft.core.errors import (
    ActionFailedError,
    Code,
    ServiceUnavailableError,
    ValidationError,
    Violation,
    WeftError,
)
from weft.core.reasons import Reason, Rule
from weft.mesh.rpc import CHANNEL_OPTIONS, SERVER_OPTIONS, abort_with, error_from_rpc

Raise = Callable[[WeftError], Any]


@pytest.fixture
async def caught_from() -> AsyncIterator[Raise]:
    """Return a function that raises an error at a server, and returns what its caller catches."""
    pending: list[WeftError] = []

    async def fail(request: bytes, context: Any) -> bytes:
        await abort_with(context, pending.pop())

    handler: Any = grpc.unary_unary_rpc_method_handler(fail)
    server = grpc.aio.server(options=SERVER_OPTIONS)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("fail.Fail", {"Fail": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    channel: Any = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=CHANNEL_OPTIONS)

    async def call(error: WeftError) -> WeftError:
        pending.append(error)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary("/fail.Fail/Fail")(b"", timeout=5)
        assert caught.value.code().value[0] == error.code
        return error_from_rpc(caught.value)

    yield call
    await channel.close()
    await server.stop(None)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: f"{type(error).__name__} {error.code.name}")
async def test_what_is_raised_is_what_is_caught(caught_from: Raise, error: WeftError) -> None:
    """Class, code, reason, message, metadata, violations and wait."""
    back = await caught_from(error)
    assert type(back) is type(error)
    assert (back.code, back.reason, back.message) == (error.code, error.reason, error.message)
    assert (back.metadata, back.violations, back.retry_after) == (
        error.metadata,
        error.violations,
        error.retry_after,
    )


@pytest.mark.parametrize("text", ["x", "ü", "😀", "%", "\n"], ids=["ASCII", "2", "4", "percent", "newline"])
async def test_an_error_as_large_as_can_be_gets_through(caught_from: Raise, text: str) -> None:
    """Fifty times: a client refuses at random what is over 8 KB."""
    violations = [Violation(f"f{n}.{text * 500}", text * 1_000, Rule.INVALID) for n in range(500)]
    metadata = {f"{text * 50}{n}": text * 1_000 for n in range(50)}
    for _ in range(50):
        back = await caught_from(ValidationError(violations, metadata=metadata, message=text * 5_000))
        assert type(back) is ValidationError
        assert back.violations[-1].reason == "MORE"
    back = await caught_from(ActionFailedError(text * 5_000, reason="R" * 500, metadata=metadata))
    assert type(back) is ActionFailedError


def status_with(details: bytes, code: grpc.StatusCode = grpc.StatusCode.UNKNOWN) -> grpc.aio.AioRpcError:
    trailing = grpc.aio.Metadata(("grpc-status-details-bin", details))
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, details="as gRPC says")


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_no_details_break_the_caller(details: bytes) -> None:
    """A peer may send anything: what cannot be read is as if it was not there."""
    assert isinstance(error_from_rpc(status_with(details)), WeftError)


def test_a_peer_that_is_away_is_named() -> None:
    """What gRPC itself says has no details; the caller knows whom it called."""
    error = error_from_rpc(status_with(b"\xff", grpc.StatusCode.UNAVAILABLE), "texts")
    assert isinstance(error, ServiceUnavailableError)
    assert (error.service_name, error.reason, error.retryable) == ("texts", Reason.UNAVAILABLE, True)
    assert error.code is Code.UNAVAILABLE
