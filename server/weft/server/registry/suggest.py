"""What is said when a service or workflow is not there: that, and a name that is close."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from weft.core.errors import ResourceNotFoundError
from weft.core.names import did_you_mean, is_id
from weft.server.forms import NewerReleaseError

__all__ = ["NamesAfter", "not_found"]

NamesAfter = Callable[[str, int], Awaitable[Iterable[str]]]
"""Returns some names that follow one, in their order: at most so many."""

_LOOKED_AT: Final = 50


async def not_found(kind: str, ref: str, prefix: str, names_after: NamesAfter) -> ResourceNotFoundError:
    """Return the error for a resource that is not there.

    A miss is often no mistake (somebody asks whether it is there), so only few
    names are looked at: the first of all, and the first that begin as this one does.
    """
    if is_id(ref, prefix):
        return ResourceNotFoundError(kind, ref)
    names: set[str] = set()
    with contextlib.suppress(NewerReleaseError):  # that it is not there is known all the same
        names = {*await names_after("", _LOOKED_AT), *await names_after(ref[:1], _LOOKED_AT)}
    hint = did_you_mean(ref, sorted(names))
    text = f"{kind} {ref!r} does not exist; {hint}" if hint else None
    return ResourceNotFoundError(kind, ref, message=text)
