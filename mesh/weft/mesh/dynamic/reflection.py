"""Asks a gRPC server what it offers, over the reflection protocol.

v1 is asked first, then v1alpha; the messages are the same on the wire. Servers
differ: some send a file with all that it imports, some alone, some again and
again. Whatever they send is bounded: bytes, files, services and time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from grpc_reflection.v1alpha import reflection_pb2

from weft.core.errors import PreconditionError, WeftError
from weft.core.reasons import Reason
from weft.mesh.dynamic._files import FileProto, well_known
from weft.mesh.dynamic.descriptors import ServiceDescriptors
from weft.mesh.reflection_server import REFLECTION_SERVICES
from weft.mesh.request_streams import keep_status
from weft.mesh.rpc import error_from_rpc

__all__ = ["ReflectionLimits", "list_services", "read_descriptors"]

_T = TypeVar("_T")

_NO_OTHER_NAME: Final = frozenset({grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED})
"""After these, asking by the older name is of no use."""
_HINT: Final = "switch server reflection on, or give a descriptor set"
_HINTS: Final = {
    grpc.StatusCode.UNAVAILABLE: "start it, mend the address, or give a descriptor set",
    grpc.StatusCode.NOT_FOUND: "mend the name (`weft call ADDRESS` lists them), or give a descriptor set",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReflectionLimits:
    """What a server may take or send, all in all."""

    timeout: timedelta = timedelta(seconds=10)
    """For everything."""
    max_bytes: int = 8 * 1024 * 1024
    """Of files."""
    max_files: int = 2_000
    """Files."""
    max_services: int = 500
    """Services that it may list."""


class _RefusedError(Exception):
    """The server did not do what was asked."""

    def __init__(self, code: grpc.StatusCode, why: str, cause: WeftError | None = None) -> None:
        super().__init__(why)
        self.code = code
        self.cause = cause
        """What the mesh says, where no server was asked."""


class _NonsenseError(Exception):
    """The server answered what is no answer, or too much."""


async def list_services(
    channel: grpc.aio.Channel, peer: str = "the server", *, limits: ReflectionLimits | None = None
) -> tuple[str, ...]:
    """Return the full names of the services that a server says it has.

    Raises:
        PreconditionError: As ``read_descriptors``.
    """
    reader = _Reader(channel, limits or ReflectionLimits())
    return tuple(await _within(reader, peer, reader.list_services()))


async def read_descriptors(
    channel: grpc.aio.Channel,
    peer: str = "the server",
    *,
    services: Iterable[str] = (),
    limits: ReflectionLimits | None = None,
) -> ServiceDescriptors:
    """Read the descriptors of a server's services.

    Args:
        channel: Leads to the server.
        peer: How errors name it.
        services: Full names of the services to read; by default all that it
            lists, as far as it gives their descriptors.
        limits: What it may take.

    Raises:
        PreconditionError: DESCRIPTORS_UNAVAILABLE: it cannot be reached, refuses
            reflection, does not answer in time, answers nonsense or too much.
    """
    reader = _Reader(channel, limits or ReflectionLimits())
    return await _within(reader, peer, reader.read(tuple(services)))


async def _within(reader: _Reader, peer: str, work: Awaitable[_T]) -> _T:
    """Do it in time, and turn whatever goes wrong into one answer."""
    cause: WeftError | None = None
    hint = _HINT
    try:
        async with asyncio.timeout(reader.seconds):
            return await work
    except TimeoutError:
        why = f"did not answer within {reader.seconds:g} s"
    except _RefusedError as error:
        why, cause = _in_words(error), error.cause
        hint = _HINTS.get(error.code, _HINT)
    except _NonsenseError as error:
        why = f"answered nonsense: {error}"
    finally:
        reader.cancel()
    raise PreconditionError(
        f"the descriptors of {peer} cannot be read by reflection: it {why}; {hint}",
        reason=Reason.DESCRIPTORS_UNAVAILABLE,
        metadata={"peer": peer, "hint": hint},
    ) from cause


def _in_words(error: _RefusedError) -> str:
    if error.code is grpc.StatusCode.UNIMPLEMENTED:
        return "does not serve reflection"
    if error.code is grpc.StatusCode.UNAVAILABLE:
        return f"cannot be reached ({error})"
    return f"refused it: {error.code.name}" + (f", {error}" if str(error) else "")


class _Reader:
    """One reading: a stream to the server, and what was got over it so far."""

    def __init__(self, channel: grpc.aio.Channel, limits: ReflectionLimits) -> None:
        self.seconds = limits.timeout.total_seconds()
        self._channel: Any = channel
        self._limits = limits
        self._version = ""
        self._stream: Any = None
        self._files: dict[str, FileProto] = {}
        self._bytes = 0

    def cancel(self) -> None:
        """Let go of the server."""
        if self._stream is not None:
            self._stream.cancel()
            self._stream = None

    async def list_services(self) -> list[str]:
        """List services by the first name of reflection that the server knows."""
        first: _RefusedError | None = None
        for self._version in REFLECTION_SERVICES:
            try:
                response = await self._ask(list_services="*")
            except _RefusedError as error:
                self.cancel()
                if first is None or first.code is grpc.StatusCode.UNIMPLEMENTED:
                    first = error
                if error.code in _NO_OTHER_NAME:
                    break
            else:
                return self._names(response)
        assert first is not None
        raise first

    def _names(self, response: reflection_pb2.ServerReflectionResponse) -> list[str]:
        if not response.HasField("list_services_response"):
            raise _NonsenseError("asked for its services, it answers something else")
        names = sorted({service.name for service in response.list_services_response.service})
        if len(names) > self._limits.max_services:
            raise _NonsenseError(f"it lists more than {self._limits.max_services:,} services")
        return [name for name in names if name]

    async def read(self, services: tuple[str, ...]) -> ServiceDescriptors:
        """Read everything that is needed for these services, or for all."""
        listed = await self.list_services()
        refused: dict[str, str] = {}
        wanted = services or tuple(name for name in listed if name not in REFLECTION_SERVICES)
        for name in wanted:
            try:
                await self._take(file_containing_symbol=name)
            except _RefusedError as error:
                refused[name] = str(error) or error.code.name
        await self._complete()
        return self._built(wanted, refused, every=bool(services))

    def _built(self, wanted: Sequence[str], refused: dict[str, str], *, every: bool) -> ServiceDescriptors:
        """Build the descriptors of every service that is wanted, or of those for which it can be done."""
        try:
            descriptors = ServiceDescriptors.from_files(self._files, wanted)
        except ValueError as error:
            raise _NonsenseError(str(error)) from None
        missing = [name for name in wanted if name not in descriptors.services]
        if missing and (every or not descriptors.services):
            why = [*refused.values(), *(f"{file}: {text}" for file, text in descriptors.problems.items())]
            raise _RefusedError(
                grpc.StatusCode.NOT_FOUND,
                f"it has no usable descriptors of {', '.join(missing[:10])}"
                + (f" ({why[0][:200]})" if why else ""),
            )
        return descriptors

    async def _complete(self) -> None:
        """Ask for what is imported and did not come along; what it does not give may not be needed."""
        asked = set(well_known())
        while True:
            imported = {name for file in self._files.values() for name in file.dependency}
            missing = sorted(imported - self._files.keys() - asked)
            if not missing:
                return
            for name in missing:
                asked.add(name)
                if name not in self._files and len(asked) <= self._limits.max_files:
                    await self._take_if_given(name)

    async def _take_if_given(self, name: str) -> None:
        try:
            await self._take(file_by_filename=name)
        except _RefusedError as error:
            if error.code in _NO_OTHER_NAME:
                raise

    async def _take(self, **question: str) -> None:
        """Ask for files, and keep those that are new."""
        response = await self._ask(**question)
        if not response.HasField("file_descriptor_response"):
            raise _NonsenseError("asked for a file, it answers something else")
        for data in response.file_descriptor_response.file_descriptor_proto:
            self._bytes += len(data)
            if self._bytes > self._limits.max_bytes:
                raise _NonsenseError(f"its files have more than {self._limits.max_bytes:,} bytes")
            try:
                file = FileProto.FromString(data)
            except DecodeError:
                raise _NonsenseError("it sends a file that is no FileDescriptorProto") from None
            if not file.name:
                raise _NonsenseError("it sends a file without a name")
            self._files.setdefault(file.name, file)
            if len(self._files) > self._limits.max_files:
                raise _NonsenseError(f"it has more than {self._limits.max_files:,} files")

    async def _ask(self, **question: str) -> reflection_pb2.ServerReflectionResponse:
        """Ask one question; a server may end the stream after each answer."""
        request = reflection_pb2.ServerReflectionRequest(**question)  # type: ignore[arg-type]  # one of its strings
        answer: Any = grpc.aio.EOF
        if self._stream is not None:
            with suppress(_RefusedError):  # a stream that was ended fails in its own ways
                answer = await self._exchange(request)
        if answer is grpc.aio.EOF:
            self._stream = None
            answer = await self._exchange(request)
        if answer is grpc.aio.EOF:
            raise _NonsenseError("it ends the stream instead of answering")
        if not isinstance(answer, reflection_pb2.ServerReflectionResponse):
            raise _NonsenseError("it sends bytes that are no ServerReflectionResponse")
        if answer.HasField("error_response"):
            error = answer.error_response
            raise _RefusedError(_code(error.error_code), error.error_message[:300])
        return answer

    async def _exchange(self, request: reflection_pb2.ServerReflectionRequest) -> Any:
        if self._stream is None:
            self._stream = self._open()
        stream = self._stream
        try:
            await stream.write(request)
            return await stream.read()
        except asyncio.InvalidStateError:  # it has ended before it was asked
            self._stream = None
            code = await stream.code()
            if code is grpc.StatusCode.OK:
                return grpc.aio.EOF
            raise _RefusedError(code, (await stream.details()) or "") from None
        except grpc.aio.AioRpcError as error:
            self._stream = None
            raise _refused(error) from None

    def _open(self) -> Any:
        ask = self._channel.stream_stream(
            f"/{self._version}/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        return keep_status(ask(timeout=self.seconds))


_UNPLACED: Final = frozenset({Reason.NO_INSTANCE, Reason.VERSION_NOT_AVAILABLE})
"""What the mesh says when there is nobody to ask."""


def _refused(error: grpc.aio.AioRpcError) -> _RefusedError:
    found = error_from_rpc(error)
    return _RefusedError(
        error.code(), (error.details() or "")[:300], found if found.reason in _UNPLACED else None
    )


_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}


def _code(number: int) -> grpc.StatusCode:
    return _CODES.get(number, grpc.StatusCode.UNKNOWN)
