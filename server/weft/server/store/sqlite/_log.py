"""SQLite's write-ahead log, read beside SQLite: whether something is missing that was there.

SQLite takes the first frame whose checksum does not fit for the end of the log. After
a power cut that is right: the last transaction may be there in part. After a flipped
bit it is not: what follows was acknowledged. The form of the log is described in
https://sqlite.org/fileformat2.html#the_write_ahead_log, that of the index beside it
in https://sqlite.org/walformat.html.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["INDEX_HEADER", "Damage", "Log", "Position", "opened_log", "read_index"]

INDEX_HEADER: Final = 96
"""Bytes at the beginning of the index: two copies of its header."""

_HEADER: Final = struct.Struct(">8I")
_FRAME: Final = struct.Struct(">6I")
_INDEX: Final = struct.Struct("=3IBBH8I")
_INDEX_VERSION: Final = 3_007_000
_MAGIC: Final = {0x377F0682: "<", 0x377F0683: ">"}
"""Which order of bytes the checksums are made in."""
_MASK: Final = 0xFFFFFFFF
_PAGE_SIZES: Final = frozenset(1 << bit for bit in range(9, 17))

Checksum = tuple[int, int]


class Position(NamedTuple):
    """How much of a log is valid."""

    salt: bytes
    """Names the log; another one begins each time that everything was written back."""
    frames: int
    """From its beginning to the end of the last commit."""


@dataclass(frozen=True, slots=True)
class Damage:
    """Where a log is not what was written."""

    offset: int
    """Of the first byte that SQLite does not read."""
    why: str
    """How that is known."""


class Log:
    """What is in a log file.

    Args:
        content: All of it.
    """

    def __init__(self, content: bytes | mmap.mmap) -> None:
        self._content = content

    @property
    def salt(self) -> bytes:
        """Names the log."""
        return self._content[16:24]

    @property
    def frames(self) -> int:
        """How many there is room for; those of earlier logs included."""
        return max(0, len(self._content) - _HEADER.size) // self._step

    @property
    def empty(self) -> bool:
        """Whether there is nothing in it: not even what SQLite would leave out."""
        return len(self._content) < _HEADER.size + _FRAME.size

    def damage(self, valid: int, acknowledged: Position | None) -> Damage | None:
        """Tell whether a commit is missing that was on the disk.

        Args:
            valid: How many frames SQLite takes.
            acknowledged: How far it was once acknowledged, as far as is known.
        """
        if self.empty:
            return None
        if not self._readable():
            return Damage(0, "its header is not what was written")
        if acknowledged is not None and acknowledged.salt == self.salt and valid < acknowledged.frames:
            missing = acknowledged.frames - valid
            return Damage(self.end_of(valid), f"{missing} frames are missing that were acknowledged")
        if self._goes_on(valid):
            return Damage(self.end_of(valid), "further commits follow what cannot be read")
        return None

    def end_of(self, frames: int) -> int:
        """Return the offset behind so many frames."""
        return _HEADER.size + frames * self._step

    @property
    def _step(self) -> int:
        return _FRAME.size + self._page_size

    @property
    def _page_size(self) -> int:
        size = int.from_bytes(self._content[8:12], "big")
        return size if size in _PAGE_SIZES else 4096

    def _readable(self) -> bool:
        """SQLite writes and syncs the header before any frame, so one that is there is whole."""
        words = _HEADER.unpack_from(self._content)
        order = _MAGIC.get(words[0])
        return order is not None and _checksum(self._content[:24], order, (0, 0)) == words[6:8]

    def _goes_on(self, valid: int) -> bool:
        """Tell whether a commit lies behind the end that was followed by another one.

        Each transaction is on the disk before the next one is written. So of all that
        follows the end only one transaction, the last, can be there in part for want of
        power. Where a frame continues the last frame of a transaction behind the end,
        that transaction had been on the disk. (What an undone, longer transaction left
        behind a shorter one continues nothing.)
        """
        committed = False
        for number in range(valid, self.frames):
            if committed and self._is_of_this_log(number) and self._continues(number):
                return True
            committed = self._commits(number)
        return False

    def _is_of_this_log(self, number: int) -> bool:
        """Tell whether a frame says so; most behind the end are left of earlier logs, and need no sums."""
        start = self.end_of(number)
        return self._content[start + 8 : start + 16] == self.salt

    def _continues(self, number: int) -> bool:
        """Tell whether a frame follows the one before: by what that says, or by what it should say."""
        said, meant = self._stored(number - 1), self._sum(number - 1, self._stored(number - 2))
        return self._stored(number) in {self._sum(number, before) for before in {said, meant}}

    def _sum(self, number: int, before: Checksum) -> Checksum:
        start = self.end_of(number)
        text = self._content[start : start + 8] + self._content[start + _FRAME.size : start + self._step]
        return _checksum(text, _MAGIC[int.from_bytes(self._content[:4], "big")], before)

    def _stored(self, number: int) -> Checksum:
        start = 24 if number < 0 else self.end_of(number) + 16
        first, second = struct.unpack_from(">2I", self._content, start)
        return first, second

    def _commits(self, number: int) -> bool:
        return self._content[self.end_of(number) + 4 : self.end_of(number) + 8] != b"\0\0\0\0"


@contextmanager
def opened_log(path: Path) -> Iterator[Log]:
    """Read a log, which may be large, or missing, while nobody writes it."""
    if not path.is_file() or path.stat().st_size == 0:
        yield Log(b"")
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        yield Log(content)


def read_index(content: bytes) -> Position | None:
    """Return what the index beside a log says, where it is whole.

    Args:
        content: Its first bytes.
    """
    if len(content) < INDEX_HEADER or content[:48] != content[48:96]:
        return None
    version, _, _, ready, _, _, frames, *_ = _INDEX.unpack_from(content)
    return Position(content[32:40], frames) if version == _INDEX_VERSION and ready else None


def _checksum(content: bytes, order: str, before: Checksum) -> Checksum:
    first, second = before
    words = struct.unpack(f"{order}{len(content) // 4}I", content)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & _MASK
        second = (second + odd + first) & _MASK
    return first, second
