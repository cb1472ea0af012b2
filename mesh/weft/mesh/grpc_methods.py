"""Actions behind RPCs of any gRPC service: the input is the request, the response the output."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any, Final

import grpc.aio
import orjson

from weft.core import metadata
from weft.core.errors import ExhaustedError, PreconditionError, ValidationError, Violation
from weft.core.payload import MAX_PAYLOAD_BYTES, loads
from weft.core.reasons import Reason, Rule
from weft.discovery.model import Endpoint
from weft.mesh.actions import ActionCall
from weft.mesh.dynamic._rpc import Metadata, Rpc
from weft.mesh.dynamic.codec import MessageCodec
from weft.mesh.dynamic.descriptors import Method, ServiceDescriptors
from weft.mesh.dynamic.schema import MAX_REQUESTS
from weft.mesh.grpc_failures import output_invalid, rpc_failure

__all__ = ["GrpcMethodInvoker", "call_metadata"]

_MOST_RESPONSES: Final = 10_000
"""Messages of a stream that an output gathers, however small they are."""


class GrpcMethodInvoker:
    """Runs actions that are RPCs of one set of descriptors.

    Keep one for each set: it remembers what it looked up.

    Args:
        descriptors: Of the service that the actions were derived from.
    """

    def __init__(self, descriptors: ServiceDescriptors) -> None:
        self._descriptors = descriptors
        self._codec = MessageCodec(descriptors)

    async def invoke(
        self,
        channel: grpc.aio.Channel,
        grpc_method: str,
        endpoint: Endpoint,
        call: ActionCall,
        timeout: float,
        *,
        headers: Metadata = (),
    ) -> bytes:
        """Run an action: make the RPC, and return the JSON text of its output.

        Args:
            channel: Connected to the endpoint.
            grpc_method: Such as ``shop.v1.Carts/GetCart``.
            endpoint: Where that is.
            call: What to run.
            timeout: Seconds that it may take.
            headers: Metadata to send beside that of the call, such as the trace context.

        Raises:
            ValidationError: The input does not fit; every fault is named, below ``input``.
            ResourceNotFoundError: METHOD_NOT_FOUND, or ACTION_NOT_FOUND: the server does
                not serve it.
            ServiceUnavailableError: ACTION_UNAVAILABLE.
            DeadlineExceededError: ACTION_TIMEOUT.
            ExhaustedError: ACTION_OUTPUT_TOO_LARGE.
            PreconditionError: ACTION_OUTPUT_INVALID.
            ActionFailedError: The RPC failed; the code is its own.
        """
        method = self._descriptors.method(grpc_method)
        rpc = Rpc(channel, self._codec, method, _request(method, call), "input")
        now = asyncio.get_running_loop().time
        deadline = now() + timeout
        try:
            output = await _output(rpc, method, call, timeout, (*call_metadata(call), *headers))
        except grpc.aio.AioRpcError as error:
            unserved, left = f"does not serve {method.full_name}", deadline - now()
            raise rpc_failure(error, call, endpoint, timeout, unserved, own_code=True, left=left) from None
        except PreconditionError as error:
            raise output_invalid(call, error.violations or [Violation("output", str(error))]) from None
        return output


def call_metadata(call: ActionCall) -> Metadata:
    """Return what a foreign service gets to know of a call, beside its request."""
    known = {
        metadata.REQUEST_ID: call.context.request_id,
        metadata.PROJECT_ID: call.context.project_id,
        metadata.EXECUTION_ID: call.execution_id,
        metadata.STEP_ID: call.step_id,
        metadata.IDEMPOTENCY_KEY: call.idempotency_key,
        metadata.ATTEMPT: str(call.attempt),
    }
    return tuple((key, _printable(value)) for key, value in known.items() if value)


def _printable(value: str) -> str:
    """Keep what gRPC takes as metadata, whatever the caller put into its context."""
    return "".join(character for character in value if " " <= character <= "~").strip()


def _request(method: Method, call: ActionCall) -> Any:
    value = loads(call.input, "input")
    if not method.client_streaming:
        return value
    requests = value.get("requests")
    faults = [
        Violation(f"input.{name}", "is not taken; the stream is read from `requests`", Rule.INPUT_UNKNOWN)
        for name in value
        if name != "requests"
    ]
    if not isinstance(requests, list):
        faults.append(Violation("input.requests", "is required: an array of requests", Rule.REQUIRED))
    elif len(requests) > MAX_REQUESTS:
        text = f"has {len(requests):,} requests, over the limit of {MAX_REQUESTS:,}"
        faults.append(Violation("input.requests", text, Rule.TOO_MANY))
    if faults:
        raise ValidationError(faults[:100])
    return requests


async def _output(rpc: Rpc, method: Method, call: ActionCall, timeout: float, headers: Metadata) -> bytes:
    """Return the JSON text of the response, or of all of them, as far as an output may be large."""
    if not method.server_streaming:
        text = orjson.dumps(await rpc.one(timeout, headers))
        if len(text) > MAX_PAYLOAD_BYTES:
            raise _too_large(call, f"more than {MAX_PAYLOAD_BYTES:,} bytes")
        return text
    parts: list[bytes] = []
    size = len(b'{"responses":[]}')
    async with aclosing(rpc.many(timeout, headers)) as responses:
        async for response in responses:
            parts.append(orjson.dumps(response))
            size += len(parts[-1]) + 1
            if size > MAX_PAYLOAD_BYTES or len(parts) > _MOST_RESPONSES:
                raise _too_large(call, f"{len(parts):,} responses of {size:,} bytes and would go on")
    return b'{"responses":[' + b",".join(parts) + b"]}"


def _too_large(call: ActionCall, what: str) -> ExhaustedError:
    return ExhaustedError(
        f"{call.service}.{call.action} answered {what}",
        reason=Reason.ACTION_OUTPUT_TOO_LARGE,
        metadata=call.names(),
    )
