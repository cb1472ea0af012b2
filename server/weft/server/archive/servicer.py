"""ArchiveService on the wire: pieces to lines and back, nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from weft.api.execution.v1 import archive_service_pb2 as pb
from weft.api.execution.v1 import archive_service_pb2_grpc
from weft.server.archive.service import ArchiveService
from weft.server.execution.wire.convert import execution_to_proto
from weft.server.requests import require_ref

__all__ = ["ArchiveServicer"]

_PIECE_BYTES: Final = 256 * 1024


class ArchiveServicer(archive_service_pb2_grpc.ArchiveServiceServicer):
    """Serves archives.

    Args:
        archives: Their use cases.
    """

    def __init__(self, archives: ArchiveService) -> None:
        self._archives = archives

    async def ExportExecution(
        self, request: pb.ExportExecutionRequest, context: object
    ) -> AsyncIterator[pb.ExportExecutionResponse]:
        """Stream an execution and its history."""
        require_ref(request, "execution_id")
        async for piece in _pieces(self._archives.export(request.execution_id)):
            yield pb.ExportExecutionResponse(data=piece)

    async def ImportExecution(
        self, request_iterator: AsyncIterator[pb.ImportExecutionRequest], context: object
    ) -> pb.ImportExecutionResponse:
        """Store an execution that has ended elsewhere."""
        pieces = (request.data async for request in request_iterator)
        execution, created = await self._archives.import_(pieces)
        return pb.ImportExecutionResponse(execution=execution_to_proto(execution), created=created)


async def _pieces(lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Join short lines, and cut long ones."""
    waiting = bytearray()
    async for line in lines:
        waiting += line
        while len(waiting) >= _PIECE_BYTES:
            yield bytes(waiting[:_PIECE_BYTES])
            del waiting[:_PIECE_BYTES]
    if waiting:
        yield bytes(waiting)
