"""A file system in memory that forgets, when told, what was not fsynced: a power cut without the machine.

It speaks the kernel's FUSE protocol itself, so that nothing has to be installed;
``/dev/fuse`` and the right to mount are needed. Names (created, renamed, removed)
are kept at once; contents only by fsync. Run as a program, it serves a mount point
until its standard input ends, and takes two orders there, a line each: ``drop``
forgets every unsynced block, ``tear SEED`` keeps some of them.
"""

from __future__ import annotations

import ctypes
import errno
import os
import random
import select
import stat
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

BLOCK: Final = 4096
_MAX_WRITE: Final = 128 * 1024
_BUFFER: Final = _MAX_WRITE + 4096
_BIG_WRITES: Final = 1 << 5
_SIZE_GIVEN: Final = 1 << 3
_ROOT: Final = 1
_NO_TIME: Final = 0
_DETACH: Final = 2


@dataclass
class Node:
    """A file or a folder."""

    number: int
    mode: int
    data: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    dirty: set[int] = field(default_factory=set)
    """Blocks that were written since the last fsync."""
    names: dict[str, int] = field(default_factory=dict)
    """What a folder holds."""

    def write(self, offset: int, content: bytes) -> None:
        end = offset + len(content)
        if end > len(self.data):
            self.resize(end)
        self.data[offset:end] = content
        self.dirty.update(range(offset // BLOCK, (end + BLOCK - 1) // BLOCK))

    def resize(self, size: int) -> None:
        old = len(self.data)
        if size < old:
            del self.data[size:]
        else:
            self.data.extend(bytes(size - old))
        self.dirty.update(range(min(old, size) // BLOCK, max(old, size) // BLOCK + 1))

    def sync(self) -> None:
        """Keep what was written."""
        self._keep(self.dirty)
        self.dirty.clear()

    def _keep(self, blocks: set[int]) -> None:
        size = len(self.data)
        if size < len(self.durable):
            del self.durable[size:]
        for block in blocks:
            start, end = block * BLOCK, min((block + 1) * BLOCK, size)
            if start < size:
                if end > len(self.durable):
                    self.durable.extend(bytes(end - len(self.durable)))
                self.durable[start:end] = self.data[start:end]

    def cut(self, chance: random.Random | None) -> int:
        """Forget what was not synced, or some of it; return how many blocks that are."""
        kept = {block for block in sorted(self.dirty) if chance is not None and chance.random() < 0.5}
        if kept:
            self._keep(kept)
        lost = len(self.dirty - kept)
        self.data = bytearray(self.durable)
        self.dirty.clear()
        return lost


class PowerFs:
    """Answers the kernel's requests."""

    def __init__(self) -> None:
        self.nodes = {_ROOT: Node(_ROOT, stat.S_IFDIR | 0o755)}
        self._last = _ROOT
        self._handlers: dict[int, Callable[[int, bytes], bytes]] = {
            1: self._lookup,
            3: self._getattr,
            4: self._setattr,
            9: self._mkdir,
            10: self._unlink,
            11: self._unlink,
            12: lambda node, body: self._rename(node, body, 8),
            14: self._open,
            15: self._read,
            16: self._write,
            17: self._statfs,
            18: self._nothing,
            20: self._fsync,
            25: self._nothing,
            26: self._init,
            27: self._open,
            28: self._readdir,
            29: self._nothing,
            30: self._nothing,
            35: self._create,
            45: lambda node, body: self._rename(node, body, 16),
        }

    def cut(self, chance: random.Random | None) -> int:
        return sum(node.cut(chance) for node in self.nodes.values())

    def answer(self, request: bytes) -> bytes | None:
        """Return the answer to a request; None when it wants none."""
        _, opcode, unique, node = struct.unpack_from("<IIQQ", request)
        if opcode in {2, 36, 42}:  # forget and interrupt
            return None
        handler = self._handlers.get(opcode, _unknown)
        try:
            body = handler(node, request[40:])
        except OSError as error:
            return struct.pack("<IiQ", 16, -(error.errno or errno.EIO), unique)
        return struct.pack("<IiQ", 16 + len(body), 0, unique) + body

    def _add(self, folder: int, name: str, mode: int) -> Node:
        self._last += 1
        node = self.nodes[self._last] = Node(self._last, mode)
        self.nodes[folder].names[name] = node.number
        return node

    def _init(self, _node: int, body: bytes) -> bytes:
        _, minor, readahead, _ = struct.unpack_from("<IIII", body)
        fields = (7, min(minor, 31), readahead, _BIG_WRITES, 16, 12, _MAX_WRITE, 1, 32, 0)
        return struct.pack("<IIIIHHIIHH", *fields) + bytes(32)

    def _lookup(self, node: int, body: bytes) -> bytes:
        number = self.nodes[node].names.get(_name(body))
        if number is None:
            raise OSError(errno.ENOENT, "")
        return _entry(self.nodes[number])

    def _getattr(self, node: int, _body: bytes) -> bytes:
        return struct.pack("<QII", 0, 0, 0) + _attributes(self.nodes[node])

    def _setattr(self, node: int, body: bytes) -> bytes:
        valid, _, _, size = struct.unpack_from("<IIQQ", body)
        if valid & _SIZE_GIVEN:
            self.nodes[node].resize(size)
        return self._getattr(node, body)

    def _mkdir(self, node: int, body: bytes) -> bytes:
        return _entry(self._add(node, _name(body[8:]), stat.S_IFDIR | 0o700))

    def _create(self, node: int, body: bytes) -> bytes:
        made = self._add(node, _name(body[16:]), stat.S_IFREG | 0o600)
        return _entry(made) + self._open(made.number, b"")

    def _unlink(self, node: int, body: bytes) -> bytes:
        if self.nodes[node].names.pop(_name(body), None) is None:
            raise OSError(errno.ENOENT, "")
        return b""

    def _rename(self, node: int, body: bytes, head: int) -> bytes:
        (target,) = struct.unpack_from("<Q", body)
        old, new = body[head:].split(b"\0")[:2]
        self.nodes[target].names[new.decode()] = self.nodes[node].names.pop(old.decode())
        return b""

    def _open(self, node: int, _body: bytes) -> bytes:
        return struct.pack("<QII", node, 0, 0)

    def _read(self, node: int, body: bytes) -> bytes:
        _, offset, size = struct.unpack_from("<QQI", body)
        return bytes(self.nodes[node].data[offset : offset + size])

    def _write(self, node: int, body: bytes) -> bytes:
        _, offset, size = struct.unpack_from("<QQI", body)
        self.nodes[node].write(offset, body[40 : 40 + size])
        return struct.pack("<II", size, 0)

    def _fsync(self, node: int, _body: bytes) -> bytes:
        self.nodes[node].sync()
        return b""

    def _statfs(self, _node: int, _body: bytes) -> bytes:
        room = 1 << 20
        return struct.pack("<5Q4I", room, room, room, room, room, BLOCK, 255, BLOCK, 0) + bytes(24)

    def _readdir(self, node: int, body: bytes) -> bytes:
        _, offset = struct.unpack_from("<QQ", body)
        found = b""
        for place, (name, number) in enumerate(list(self.nodes[node].names.items())[offset:], offset + 1):
            text = name.encode()
            entry = struct.pack("<QQII", number, place, len(text), self.nodes[number].mode >> 12) + text
            found += entry + bytes(-len(entry) % 8)
        return found

    def _nothing(self, _node: int, _body: bytes) -> bytes:
        return b""


def _unknown(_node: int, _body: bytes) -> bytes:
    raise OSError(errno.ENOSYS, "")


def _name(body: bytes) -> str:
    return body.split(b"\0", 1)[0].decode()


def _attributes(node: Node) -> bytes:
    size = len(node.data)
    times = (_NO_TIME,) * 3
    return struct.pack(
        "<6Q10I", node.number, size, (size + 511) // 512, *times, 0, 0, 0, node.mode, 1, 0, 0, 0, BLOCK, 0
    )


def _entry(node: Node) -> bytes:
    return struct.pack("<QQQQII", node.number, 0, 0, 0, 0, 0) + _attributes(node)


def mount(where: str) -> int:
    """Mount at a folder; return the descriptor to serve.

    Raises:
        OSError: There is no FUSE here, or no right to mount.
    """
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"weft-power", where.encode(), b"fuse", 0, options.encode()):
        code = ctypes.get_errno()
        os.close(device)
        raise OSError(code, f"cannot mount at {where}: {os.strerror(code)}")
    return device


def unmount(where: str) -> None:
    ctypes.CDLL(None).umount2(where.encode(), _DETACH)


def _answer_one(device: int, fs: PowerFs) -> bool:
    """Answer one request; tell whether more may come."""
    try:
        answer = fs.answer(os.read(device, _BUFFER))
        if answer is not None:
            os.write(device, answer)
    except OSError as error:
        return error.errno not in {errno.ENODEV, errno.EBADF}
    return True


def serve(device: int, fs: PowerFs) -> None:
    """Answer the kernel, and carry out orders from the standard input, until that ends."""
    while True:
        ready, _, _ = select.select([device, 0], [], [])
        if device in ready:
            if not _answer_one(device, fs):
                return
        elif 0 in ready:
            order = os.read(0, 200).decode().split()
            if not order:
                return
            chance = random.Random(int(order[1])) if order[0] == "tear" else None
            os.write(1, f"{fs.cut(chance)}\n".encode())


def main() -> None:
    where = sys.argv[1]
    device = mount(where)
    os.write(1, b"mounted\n")
    try:
        serve(device, PowerFs())
    finally:
        unmount(where)


if __name__ == "__main__":
    main()
