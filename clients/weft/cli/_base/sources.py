"""Files named on the command line, and stdin: read within a limit, with faults that name them."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Final

from weft.core.errors import ValidationError, Violation
from weft.core.reasons import Rule

__all__ = ["MAX_FILE_BYTES", "STDIN", "fault", "is_yaml", "read_bytes", "replace_text", "source_name"]

MAX_FILE_BYTES: Final = 1024 * 1024
STDIN: Final = "-"


def is_yaml(source: str) -> bool:
    """Tell whether a file's name says that it is YAML."""
    return source.lower().endswith((".yaml", ".yml"))


def source_name(source: str) -> str:
    """Return how messages call a file."""
    return "stdin" if source == STDIN else source


def read_bytes(source: str) -> bytes:
    """Read a file, or stdin for ``-``.

    Raises:
        ValidationError: It cannot be read, or is larger than 1 MiB.
    """
    name = source_name(source)
    try:
        if source == STDIN:
            data = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
        else:
            with Path(source).open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise fault(name, f"cannot be read: {reason}", Rule.INVALID) from None
    if len(data) > MAX_FILE_BYTES:
        raise fault(name, f"is larger than {MAX_FILE_BYTES:,} bytes", Rule.PAYLOAD_TOO_LARGE)
    return data


def replace_text(source: str, text: str) -> None:
    """Write a file anew; it is never there by half.

    Raises:
        ValidationError: It cannot be written.
    """
    path = Path(source).resolve()
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            new.write_text(text, encoding="utf-8")
            shutil.copymode(path, new)
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)
    except OSError as error:
        raise fault(source, f"cannot be written: {error.strerror or error}", Rule.INVALID) from None


def fault(field: str, description: str, rule: Rule) -> ValidationError:
    """Make the error of a file or value with one fault."""
    return ValidationError([Violation(field, description, rule)])
