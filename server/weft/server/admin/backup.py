"""A backup: everything in a store as of one moment, as lines of JSON.

The first line says what it is, each line after it is one row, and the last one says
how many rows there were and the SHA-256 of everything before it. Rows are in the form
of the codec, so a backup of one kind of store can be restored into another.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import os
from collections import Counter
from collections.abc import Generator, Iterator
from datetime import datetime
from importlib.metadata import version
from itertools import groupby, islice
from pathlib import Path
from typing import IO, Any, Final, Self, cast

import orjson

from weft.server.admin.whole_file import whole_file
from weft.server.store.vault import TABLES, Row, Table, Vault, VaultError, table

__all__ = ["FORMAT", "BackupExistsError", "read_backup", "restore", "write_backup"]

FORMAT: Final = "weft-backup/1"

_CHUNK: Final = 1_000
_COLUMNS: Final = {each.name: len(each.columns) for each in TABLES}
"""How many there are, by the name of the table."""


class BackupExistsError(Exception):
    """There is a file already where a backup is to be written; the message names it."""


async def write_backup(vault: Vault, target: Path, now: datetime, *, replace: bool = False) -> Counter[str]:
    """Back a store up into a file, which is there as a whole or not at all; return how many rows it has.

    Args:
        vault: The store.
        target: The file; where its name ends in ``.gz`` it is packed.
        now: When this is.
        replace: Whether it may take the place of a file that is there.

    Raises:
        BackupExistsError: There is a file, and it may not be replaced.
        VaultError: The store cannot be read, or the file not be written.
    """
    try:
        _check_target(target, replace=replace)
        with whole_file(target, replace=replace) as file:
            counts = await _write(vault, file, now, packed=target.suffix == ".gz")
    except FileExistsError:
        raise BackupExistsError(f"{target} is there already") from None
    except OSError as error:
        raise VaultError(f"cannot write {target}: {error.strerror or error}") from error
    return counts


def _check_target(target: Path, *, replace: bool) -> None:
    """Refuse what would be lost before anything is read; a device or a pipe is never replaced."""
    if target.exists() and not target.is_file():
        raise VaultError(f"cannot write {target}: it is there, and is no file")
    if not replace and os.path.lexists(target):
        raise BackupExistsError(f"{target} is there already")


async def _write(vault: Vault, file: IO[bytes], now: datetime, *, packed: bool) -> Counter[str]:
    with _Writer(file, packed=packed) as writer:
        head = {"format": FORMAT, "release": version("weft"), "store": vault.name, "time": now.isoformat()}
        writer.line(head)
        async with vault.snapshot() as snapshot:
            for each in TABLES:
                async for row in snapshot.rows(each):
                    writer.row(each, row)
        writer.end()
    return writer.counts


class _Writer:
    """Writes lines into a file, and remembers what they add up to."""

    def __init__(self, file: IO[bytes], *, packed: bool) -> None:
        self.counts: Counter[str] = Counter()
        self._digest = hashlib.sha256()
        self._file = file
        self._out = file
        if packed:
            self._out = cast("IO[bytes]", gzip.GzipFile(fileobj=file, mode="wb", compresslevel=3))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._out is not self._file:
            self._out.close()

    def line(self, value: object) -> None:
        text = orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)
        self._digest.update(text)
        self._out.write(text)

    def row(self, what: Table, row: Row) -> None:
        self.counts[what.name] += 1
        self.line([what.name, *map(_plain, row)])

    def end(self) -> None:
        self.line({"rows": dict(self.counts), "sha256": self._digest.hexdigest()})


def _plain(value: object) -> object:
    if not isinstance(value, bytes):
        return value
    try:
        return {"text": value.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def _revived(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return value["text"].encode() if "text" in value else base64.b64decode(value["base64"])


def read_backup(source: Path) -> Counter[str]:
    """Check that a backup is whole, and that this release knows what is in it; return how many rows it has.

    Raises:
        VaultError: It is no backup, not as it was written, or of a newer release.
    """
    digest, counts = hashlib.sha256(), Counter[str]()
    head: dict[str, Any] = {}
    end: dict[str, Any] | None = None
    for number, line in enumerate(_lines(source)):
        if end is not None:
            raise VaultError(f"{source}: something follows its end")
        value = _parsed(source, number, line)
        if number == 0:
            head = _required_head(source, value)
        elif isinstance(value, dict):
            end = value
            if value.get("sha256") != digest.hexdigest() or value.get("rows") != dict(counts):
                raise VaultError(f"{source}: it is not as it was written: the checksum differs")
        else:
            counts[_name_of(source, number, value, head)] += 1
        digest.update(line)
    if end is None:
        raise VaultError(f"{source}: it ends early")
    if unknown := counts.keys() - _COLUMNS.keys():
        raise _unknown(source, f"it has {', '.join(sorted(unknown))}, which", head)
    return counts


def _name_of(source: Path, number: int, row: Any, head: dict[str, Any]) -> str:
    """Return of which table a row is; columns at its end that this release does not know say nothing."""
    if not isinstance(row, list) or not row or not isinstance(row[0], str):
        raise VaultError(f"{source}: line {number + 1} is no row of a backup: it is not as it was written")
    known = _COLUMNS.get(row[0], len(row))
    if any(value is not None for value in row[1 + known :]):
        raise _unknown(source, f"line {number + 1} has columns of {row[0]} that", head)
    return row[0]


def _unknown(source: Path, what: str, head: dict[str, Any]) -> VaultError:
    made = f"; release {str(head['release'])[:40]} made it" if "release" in head else ""
    return VaultError(f"{source}: {what} this release does not know{made}")


def _required_head(source: Path, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise VaultError(f"{source}: it is no backup that this release knows ({FORMAT})")
    return value


def _parsed(source: Path, number: int, line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        raise VaultError(f"{source}: line {number + 1} is no JSON: it is not as it was written") from None


def _lines(source: Path) -> Iterator[bytes]:
    try:
        with source.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            lines = gzip.GzipFile(fileobj=raw) if packed else raw
            yield from lines
    except (OSError, EOFError) as error:
        why = getattr(error, "strerror", None) or error
        raise VaultError(f"cannot read {source}: {why}") from error


async def restore(vault: Vault, source: Path) -> Counter[str]:
    """Put a backup into an empty store, all or nothing; return how many rows it has.

    Raises:
        VaultError: The backup is not whole or of a newer release, or the store is in use or not empty.
    """
    counts = read_backup(source)
    async with vault.filling() as filler:
        with contextlib.closing(_rows(source)) as rows:
            for name, group in groupby(rows, key=lambda row: str(row[0])):
                what = table(name)
                while part := [_whole(what, row[1:]) for row in islice(group, _CHUNK)]:
                    await filler.add(what, part)
    return counts


def _whole(what: Table, values: list[Any]) -> Row:
    """Return a row; columns that there were not when it was backed up are none."""
    known = values[: len(what.columns)]
    missing = (None,) * (len(what.columns) - len(known))
    return (*map(_revived, known), *missing)


def _rows(source: Path) -> Generator[list[Any], None, None]:
    for line in _lines(source):
        value = orjson.loads(line)
        if isinstance(value, list):
            yield value
