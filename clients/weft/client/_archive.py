"""Typed calls of the ArchiveService."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable
from functools import cached_property
from typing import Final, TypeAlias, cast

from weft.api.execution.v1 import archive_service_pb2 as pb
from weft.api.execution.v1 import archive_service_pb2_grpc as pb_grpc
from weft.client._reading import execution as read
from weft.client._transport.calls import Caller
from weft.client.records import Execution, ImportedExecution

Piece: TypeAlias = bytes | bytearray | memoryview

_PIECE_BYTES: Final = 256 * 1024
_BYTES: Final = (bytes, bytearray, memoryview)


class ArchiveClient:
    """Executions that have ended, as JSON lines."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    @cached_property
    def _stub(self) -> pb_grpc.ArchiveServiceAsyncStub:
        return pb_grpc.ArchiveServiceStub(self._caller.channel)

    async def export_execution(self, execution_id: str) -> AsyncGenerator[bytes, None]:
        """Yield an execution and its history, in pieces that are to be joined.

        Raises:
            ResourceNotFoundError: There is no such execution.
            PreconditionError: It has not ended.
        """
        request = pb.ExportExecutionRequest(execution_id=execution_id)
        async for answer in self._caller.download(self._stub.ExportExecution, request):
            yield answer.data

    async def import_execution(
        self, pieces: Piece | Iterable[Piece] | AsyncIterable[Piece]
    ) -> ImportedExecution:
        """Store what an export gave; a repeat changes nothing.

        Args:
            pieces: All of it, or parts that end anywhere, such as ``export_execution`` yields them.
                What they raise is raised.

        Raises:
            TypeError: A piece is not bytes.
            ValidationError: It is no such thing, or was changed; the faults say in which line.
            AlreadyExistsError: There is an execution with its id and another content.
            PreconditionError: One with its id is still being deleted.
            ExhaustedError: It is too large.
        """
        answer = await self._caller.upload(self._stub.ImportExecution, _requests(pieces))
        execution: Execution = read.execution(answer.execution)
        return ImportedExecution(execution=execution, created=answer.created)


async def _requests(
    pieces: Piece | Iterable[Piece] | AsyncIterable[Piece],
) -> AsyncIterator[pb.ImportExecutionRequest]:
    async for piece in _each(pieces):
        if not isinstance(piece, _BYTES):
            raise TypeError(f"pieces: {type(piece).__name__} is not bytes")
        data = bytes(piece)
        for at in range(0, len(data), _PIECE_BYTES):
            yield pb.ImportExecutionRequest(data=data[at : at + _PIECE_BYTES])


async def _each(pieces: Piece | Iterable[Piece] | AsyncIterable[Piece]) -> AsyncIterator[Piece]:
    if isinstance(pieces, AsyncIterable):
        async for piece in pieces:
            yield piece
        return
    for piece in (cast("Piece", pieces),) if isinstance(pieces, _BYTES) else pieces:
        yield piece
