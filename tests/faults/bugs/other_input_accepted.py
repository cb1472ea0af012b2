"""Nobody looks whether a repeated request has the same content."""

from __future__ import annotations

from tests.faults.bugs.seams import wrap
from weft.server.store.sqlite import _histories


def plant() -> None:
    wrap(_histories, "check_fingerprint", lambda _: lambda *_: None)
