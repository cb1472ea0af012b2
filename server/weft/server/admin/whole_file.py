"""A file that is there as a whole or not at all, whenever its writer is killed."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

__all__ = ["whole_file"]

_NOT_HERE: Final = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL})
"""What file systems and systems say that know no files without a name."""
_NO_LINKS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP})


@contextmanager
def whole_file(target: Path, *, replace: bool) -> Iterator[IO[bytes]]:
    """Write a file that only its owner may read, and that gets its name when the block has ended well.

    Until then it has none, where the file system can do that, and so leaves nothing behind.
    Elsewhere its name ends in ``.partial``.

    Args:
        target: Where it is to be.
        replace: Whether it may take the place of another one.

    Raises:
        FileExistsError: There is another one, and it may not be replaced.
        OSError: It cannot be written.
    """
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    spare = target.with_name(f"{target.name}.{secrets.token_hex(4)}.partial")
    try:
        with _opened(target.parent, spare) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            _give_name(file.fileno(), spare, target, folder, replace=replace)
        os.fsync(folder)
    finally:
        spare.unlink(missing_ok=True)
        os.close(folder)


def _opened(folder: Path, spare: Path) -> IO[bytes]:
    try:
        handle = os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno not in _NOT_HERE:
            raise
        handle = os.open(spare, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    return os.fdopen(handle, "wb")


def _give_name(handle: int, spare: Path, target: Path, folder: int, *, replace: bool) -> None:
    """Do it in one step; a link never takes the place of something, and a move does."""
    if not spare.exists():
        first = spare if replace else target
        # With the folder given, Python follows the link that leads to a file without a name.
        os.link(f"/proc/self/fd/{handle}", first, src_dir_fd=folder, follow_symlinks=True)
        if not replace:
            return
    elif not replace and _linked(spare, target):
        return
    spare.replace(target)


def _linked(spare: Path, target: Path) -> bool:
    """Tell whether it has its name now; where there are no links, only that nothing else has it."""
    try:
        os.link(spare, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
        return False
    return True
