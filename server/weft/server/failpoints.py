"""Named places at which a test may kill or stop this process.

There is no way to arm one from outside: a test starts the server by a program of
its own, which calls ``install`` first. Otherwise a failpoint is a call that
compares one variable with None.

The places: ``commit.before`` and ``commit.after`` a transaction of the store,
``dispatch.before`` and ``dispatch.after`` the call of an action, ``reply.before``
the answer to an RPC.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["failpoint", "install"]

_reached: Callable[[str], None] | None = None


def install(reached: Callable[[str], None] | None) -> None:
    """Have a function called with the name of every failpoint that is passed; None: nothing is called.

    It is called in the thread that passes it, and may not return.
    """
    global _reached  # noqa: PLW0603 - one per process, and set before anything runs
    _reached = reached


def failpoint(name: str) -> None:
    """Pass a named place."""
    if _reached is not None:
        _reached(name)
