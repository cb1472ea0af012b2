"""Values that are never changed, and cost little to make."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(cls: type | None = None, *, frozen: bool = False, **options: Any) -> Any:
        """Make a dataclass that is frozen for type checkers alone.

        One that is frozen at run time sets each field by a call of ``object.__setattr__``
        and takes three times as long to make; a workflow of three steps makes fifty of
        them, with 400 fields. Nothing that is type-checked can change one of these
        either, and they compare and hash as frozen ones do.

        Args:
            cls: The class; none: options are given first.
            frozen: As of ``dataclasses.dataclass``.
            options: The others.
        """
        if cls is None:
            return lambda cls: dataclass(cls, frozen=frozen, **options)
        return dataclasses.dataclass(cls, unsafe_hash=frozen and options.get("eq", True), **options)
