"""The command line options that every service of the example has."""

from __future__ import annotations

import argparse

__all__ = ["DEFAULT_PORT", "DEFAULT_SERVER", "parser"]

DEFAULT_PORT = 7420
DEFAULT_SERVER = f"127.0.0.1:{DEFAULT_PORT}"


def parser(description: str) -> argparse.ArgumentParser:
    """Return a parser with `--server` and `--listen`."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument(
        "--server", default=DEFAULT_SERVER, metavar="HOST:PORT", help="the Weft server to register with"
    )
    options.add_argument(
        "--listen", default="127.0.0.1:0", metavar="HOST:PORT", help="where to serve; port 0 takes a free one"
    )
    return options
