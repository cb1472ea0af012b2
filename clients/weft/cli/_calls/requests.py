"""Requests of RPCs from the command line: objects, files, and lines of JSON as they come."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator
from typing import Any, Final

from weft.cli._base.inputs import read_object
from weft.cli._base.sources import MAX_FILE_BYTES, STDIN, fault, is_yaml, read_bytes
from weft.core.errors import ValidationError
from weft.core.reasons import Rule

__all__ = ["one_request", "requests"]

_FIELD: Final = "data"


def one_request(data: list[str]) -> dict[str, Any]:
    """Read the request of a method that takes one; none at all is the empty one.

    Raises:
        ValidationError: There are several, or it cannot be read.
    """
    if len(data) > 1:
        raise fault(_FIELD, "is given more than once, and the method takes one request", Rule.INVALID)
    return read_object(data[0], _FIELD) if data else {}


def requests(data: list[str]) -> Any:
    """Read the requests of a method that takes a stream of them.

    Returns:
        A list of objects; for stdin an asynchronous iterator of its lines, each as it comes.

    Raises:
        ValidationError: One of them cannot be read.
    """
    if data == [STDIN]:
        return _lines_of_stdin()
    if STDIN in data:
        raise fault(_FIELD, "'-' is stdin, and stands alone", Rule.INVALID)
    found: list[dict[str, Any]] = []
    for text in data:
        if text.startswith("@") and not is_yaml(text):
            found += _of_file(text.removeprefix("@"))
        else:
            found.append(read_object(text, f"{_FIELD}[{len(found)}]"))
    return found


def _of_file(source: str) -> list[dict[str, Any]]:
    """Return the object that a file is, or those in its lines."""
    content = read_bytes(source)
    lines = [(number, line) for number, line in enumerate(content.splitlines(), 1) if line.strip()]
    try:
        return [_parsed(content, source)]
    except ValidationError:
        if len(lines) < 2:
            raise
    return [_parsed(line, f"{source}:{number}") for number, line in lines]


def _parsed(text: bytes, where: str) -> dict[str, Any]:
    from weft.core import payload  # noqa: PLC0415 - protobuf is slow to import, and `--help` needs none

    return payload.loads(text, where)


async def _lines_of_stdin() -> AsyncIterator[dict[str, Any]]:
    """Yield objects as their lines come; a thread reads that ends with the process."""
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[bytes] = asyncio.Queue()
    stdin = sys.stdin  # the one of this call, which an embedding process may replace before the next

    def read() -> None:
        while True:
            line = stdin.buffer.readline(MAX_FILE_BYTES + 1)
            try:
                loop.call_soon_threadsafe(lines.put_nowait, line)
            except RuntimeError:  # the call is over, and its loop closed
                return
            if not line:
                return

    threading.Thread(target=read, name="stdin", daemon=True).start()
    number = 0
    while line := await lines.get():
        number += 1
        if line.strip():
            yield _parsed(line, f"stdin:{number}")
