"""Why something failed: an error at rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from weft.core.errors import Code, Violation, WeftError
from weft.core.reasons import DOMAIN
from weft.server.forms import build, member_of

__all__ = ["Failure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why something failed: an error at rest."""

    reason: str
    """UPPER_SNAKE_CASE and stable."""
    message: str
    """For a person."""
    code: Code
    """The canonical code."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Every dynamic value of the message."""
    violations: tuple[Violation, ...] = ()
    """The faults of the input or output."""
    retryable: bool = False
    """Whether the same call may succeed later."""
    domain: str = DOMAIN
    """Whose reason it is: ours, or an action's own."""

    @classmethod
    def of(cls, error: WeftError) -> Failure:
        """Put an error to rest."""
        return cls(
            reason=str(error.reason),
            message=error.message,
            code=error.code,
            metadata=dict(error.metadata),
            violations=error.violations,
            retryable=error.retryable,
            domain=error.domain,
        )

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> Failure:
        """Read what was made of one at rest: a member for each field."""
        known = {
            **record,
            "code": member_of(Code, record["code"]),
            "violations": tuple(build(Violation, violation) for violation in record["violations"]),
        }
        return build(cls, known)
