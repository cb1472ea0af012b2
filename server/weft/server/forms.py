"""Models out of records that another release may have written.

Servers of two releases share a database while one replaces the other, so each reads
what the newer one writes (ADR 0022). A member that this release does not know is
passed over when it says nothing, as the newer one writes every member it has. One
that says something, and a kind that is not known, is never guessed at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from enum import Enum
from functools import cache
from typing import Any, Final, TypeVar

from weft.core.errors import ServiceUnavailableError
from weft.core.reasons import Reason

__all__ = ["NewerReleaseError", "build", "known_as", "member_of"]

T = TypeVar("T")
E = TypeVar("E", bound=Enum)

_RETRY_AFTER: Final = timedelta(seconds=1)
_LONGEST: Final = 80


class NewerReleaseError(ServiceUnavailableError):
    """Something was written by a newer release, and only a server of that can go on with it."""

    default_reason = Reason.NEWER_RELEASE

    def __init__(self, what: str, *, many: bool = False) -> None:
        super().__init__(
            "weft",
            f"{what} {'are' if many else 'is'} of a newer release of Weft than this server; "
            "ask a server of that one",
            metadata={"unknown": what},
            retry_after=_RETRY_AFTER,
        )


def build(model: type[T], record: Mapping[str, Any], *, only_hints: bool = False) -> T:
    """Make a model out of a member for each of its fields.

    Args:
        model: A dataclass.
        record: Its members.
        only_hints: Whether those that are not known may be passed over also when they say something.

    Raises:
        NewerReleaseError: One that is not known says something.
    """
    dataclass: Any = model
    known = _names(dataclass)
    if not record.keys() <= known:
        for name in record.keys() - known:
            if record[name] and not only_hints:
                raise NewerReleaseError(f"{model.__name__}.{name[:_LONGEST]}")
        record = {name: value for name, value in record.items() if name in known}
    return model(**record)


def member_of(kind: type[E], value: Any) -> E:
    """Return the member of an enumeration that has a value.

    Raises:
        NewerReleaseError: None has.
    """
    try:
        return kind(value)
    except ValueError:
        raise NewerReleaseError(f"{kind.__name__} {str(value)[:_LONGEST]!r}") from None


def known_as(kinds: Mapping[str, T], name: str, what: str) -> T:
    """Return what stands under the name of a kind.

    Raises:
        NewerReleaseError: Nothing does.
    """
    found = kinds.get(name)
    if found is None:
        raise NewerReleaseError(f"{what} {name[:_LONGEST]!r}")
    return found


@cache
def _names(model: Any) -> frozenset[str]:
    return frozenset(it.name for it in fields(model))
