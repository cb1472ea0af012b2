"""The entry point of ``weft``."""

from __future__ import annotations

import codecs
import io
import os
import sys
from pathlib import Path

from weft.cli._base.interrupts import interrupts

__all__ = ["main"]


def main() -> None:
    """Run the command line of this process; from here on Ctrl-C ends it well."""
    _fill_streams()
    _escape_what_cannot_be_shown()
    interrupts.install()
    from weft.cli.commands import run_command_line  # noqa: PLC0415 - Ctrl-C may come while all this is imported

    run_command_line()


def _fill_streams() -> None:
    """Open what is closed of stdin, stdout and stderr: else the next file or connection took its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115 - as long as the process
            setattr(sys, name, stream)


def _escape_what_cannot_be_shown() -> None:
    """Write what the encoding of a terminal lacks as JSON does, so that no output ends in the middle."""
    codecs.register_error("weft.json", _as_json)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="weft.json")


def _as_json(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    pairs = zip(units[::2], units[1::2], strict=True)
    return "".join(f"\\u{high:02x}{low:02x}" for high, low in pairs), error.end
