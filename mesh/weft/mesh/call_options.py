"""How a channel calls: deadlines, retries, and what keeps calls together."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum, unique
from typing import Final

from weft.core.errors import ValidationError, Violation
from weft.core.reasons import Rule
from weft.mesh.policies.retry import RetryPolicy

__all__ = ["CallOptions", "RetryMethods"]

_METHOD: Final = re.compile(r"/[^/]+/[^/]+")
_KEY: Final = re.compile(r"[0-9A-Za-z_.-]+")

_THREE_ATTEMPTS: Final = RetryPolicy(
    max_retries=2, base_delay=timedelta(seconds=0.1), max_delay=timedelta(seconds=2)
)


@unique
class RetryMethods(StrEnum):
    """Which methods are called again after a request was sent, and may have been processed."""

    IDEMPOTENT = "idempotent"
    """Those whose ``idempotency_level`` says so, and those that are named."""
    ALL = "all"
    """Every method: the caller knows that nothing can happen twice."""
    NONE = "none"
    """No method."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOptions:
    """How a channel calls."""

    timeout: timedelta | None = timedelta(seconds=30)
    """What a unary call may take that says nothing itself, all its attempts together; None: no limit."""
    stream_timeout: timedelta | None = None
    """What a stream may take that says nothing itself; None: no limit."""
    first_answer: timedelta = timedelta(seconds=10)
    """How long a call that does not wait for ready waits for the source's first answer."""
    retry: RetryPolicy = _THREE_ATTEMPTS
    """How often and when: by default three attempts in all."""
    retry_methods: RetryMethods = RetryMethods.IDEMPOTENT
    """Which methods."""
    idempotent: Collection[str] = frozenset()
    """Full names of methods that may run twice though their descriptors do not say so, such as
    ``/shop.v1.Carts/PutItem``."""
    hash_key: str = ""
    """The metadata key whose value keeps calls together, for ``consistent_hash``; empty: none does."""

    def __post_init__(self) -> None:
        """Check it.

        Raises:
            ValidationError: Every fault.
        """
        if faults := [Violation(name, text, Rule.INVALID) for name, text in self._faults()]:
            raise ValidationError(faults)

    def _faults(self) -> Iterator[tuple[str, str]]:
        for name in ("timeout", "stream_timeout"):
            value: timedelta | None = getattr(self, name)
            if value is not None and value <= timedelta():
                yield name, "must be positive, or None"
        if self.first_answer < timedelta():
            yield "first_answer", "must not be negative"
        for method in self.idempotent:
            if _METHOD.fullmatch(method) is None:
                yield "idempotent", f"{method!r} is no full name of a method, such as /shop.v1.Carts/PutItem"
        if self.hash_key and _KEY.fullmatch(self.hash_key) is None:
            words = "it has letters, digits, '-', '_' and '.'"
            yield "hash_key", f"{self.hash_key!r} is no key of metadata: {words}"

    def retried(self, method: str, *, idempotent: bool) -> bool:
        """Tell whether a method is called again after a request was sent.

        Args:
            method: Full name, such as ``/shop.v1.Carts/PutItem``.
            idempotent: Whether its descriptor says that it may run twice.
        """
        if self.retry.max_retries == 0 or self.retry_methods is RetryMethods.NONE:
            return False
        return self.retry_methods is RetryMethods.ALL or idempotent or method in self.idempotent
