"""The entry point of ``weft``."""

from __future__ import annotations

from weft.cli._interrupts import interrupts

__all__ = ["main"]


def main() -> None:
    """Run the command line of this process; from here on Ctrl-C ends it well."""
    interrupts.install()
    from weft.cli.commands import run_command_line  # noqa: PLC0415 - Ctrl-C may come while all this is imported

    run_command_line()
