"""Runs ``weft`` in a process of its own, and interrupts it at a moment that a test names.

``python -m tests.integration.cli.interrupting MOMENT WORDS...`` runs the words, and sends SIGINT
to itself, at one of:

- ``import:NAME``: when the module is about to be imported;
- ``call:N``: at the N-th call of a function in the main thread;
- ``unnoticed``: when a line comes on stdin, in a way that interrupts no waiting of the main thread;
- ``never``: the test does it;
- ``lookup``: likewise, when a line on stdout says that an address is looked up, which takes a minute;
- ``stdin``: likewise, when stdin is read.
"""

from __future__ import annotations

import itertools
import os
import signal
import socket
import sys
import threading
import time
from typing import Any


class _AtImport:
    def __init__(self, name: str) -> None:
        self._name = name

    def find_spec(self, name: str, *_: Any) -> None:
        if name == self._name:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)


def _at_call(number: int) -> None:
    count = itertools.count()

    def profile(_frame: Any, event: str, _arg: Any) -> None:
        if event == "call" and next(count) == number:
            sys.setprofile(None)
            os.kill(os.getpid(), signal.SIGINT)

    sys.setprofile(profile)


def _unnoticed() -> None:
    """Let the signal arrive in another thread: the main one waits on, as when it came just before."""
    sys.stdin.readline()
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)


def _slow_lookup(*_args: Any, **_options: Any) -> Any:
    os.write(1, b"now\n")
    time.sleep(60)


class _Stdin:
    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        os.write(1, b"now\n")
        return getattr(self._real, name)


def main() -> None:
    """Prepare, and run the command."""
    moment, _, detail = sys.argv.pop(1).partition(":")
    from weft.cli.main import main as weft  # noqa: PLC0415 - what is interrupted starts here

    match moment:
        case "import":
            sys.meta_path.insert(0, _AtImport(detail))
        case "call":
            _at_call(int(detail))
        case "unnoticed":
            threading.Thread(target=_unnoticed, daemon=True).start()
        case "lookup":
            socket.getaddrinfo = _slow_lookup
        case "stdin":
            sys.stdin = _Stdin(sys.stdin)
    weft()


if __name__ == "__main__":
    main()
