"""The entry point of ``weft``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from weft.cli._base.interrupts import interrupts

__all__ = ["main"]


def main() -> None:
    """Run the command line of this process; from here on Ctrl-C ends it well."""
    _fill_streams()
    interrupts.install()
    from weft.cli.commands import run_command_line  # noqa: PLC0415 - Ctrl-C may come while all this is imported

    run_command_line()


def _fill_streams() -> None:
    """Open what is closed of stdin, stdout and stderr: else the next file or connection took its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115 - as long as the process
            setattr(sys, name, stream)
