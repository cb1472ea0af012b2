"""What every adapter does with request keys."""

from __future__ import annotations

from weft.core.errors import AlreadyExistsError
from weft.core.reasons import Reason
from weft.server.store.base import RequestKey

__all__ = ["check_fingerprint"]


def check_fingerprint(key: RequestKey, first: bytes) -> None:
    """Refuse a repeat with another content.

    Raises:
        AlreadyExistsError: REQUEST_ID_REUSED.
    """
    if first != key.fingerprint:
        raise AlreadyExistsError(
            f"request_id {key.request_id!r} was used before, with another content",
            reason=Reason.REQUEST_ID_REUSED,
            metadata={"request_id": key.request_id, "method": key.called or key.method},
        )
