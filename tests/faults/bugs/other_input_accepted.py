"""Nobody looks whether a repeated request has the same content."""

from __future__ import annotations

from weft.server.store.sqlite import _execution


def plant() -> None:
    _execution.check_fingerprint = lambda *_: None  # type: ignore[attr-defined, unused-ignore]
