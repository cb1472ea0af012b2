"""Why something failed: an error at rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from weft.core.errors import Code, Violation, WeftError
from weft.core.reasons import DOMAIN
from weft.core.status import clip
from weft.server.forms import build, member_of

__all__ = ["Failure"]

_MAX_REASON: Final = 256
_MAX_MESSAGE: Final = 8_192
_MAX_METADATA: Final = 8_192
_MAX_VIOLATIONS: Final = 16_384
_MAX_NAME: Final = 256
_MAX_TEXT: Final = 2_048
"""Bytes. What an action says comes over a stream in up to 4 MiB; an execution that tells of some such
failures could be read by nobody, as a message takes no more than that either."""


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
        """Put an error to rest; of what is very long, the beginning is kept."""
        return cls(
            reason=clip(str(error.reason), _MAX_REASON),
            message=clip(error.message, _MAX_MESSAGE),
            code=error.code,
            metadata=_metadata(error.metadata),
            violations=_violations(error.violations),
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


def _metadata(given: Mapping[str, str]) -> dict[str, str]:
    """Return as many entries as fit, in their order."""
    kept: dict[str, str] = {}
    left = _MAX_METADATA
    for key, value in given.items():
        name, text = clip(key, _MAX_NAME), clip(str(value), _MAX_TEXT)
        left -= len(name.encode()) + len(text.encode())
        if left < 0:
            break
        kept[name] = text
    return kept


def _violations(given: Sequence[Violation]) -> tuple[Violation, ...]:
    """Return as many as fit; where some do not, the last one says how many more there are."""
    kept: list[Violation] = []
    left = _MAX_VIOLATIONS
    for violation in given:
        short = Violation(
            clip(violation.field, _MAX_NAME),
            clip(violation.description, _MAX_TEXT),
            clip(str(violation.reason), _MAX_NAME),
        )
        left -= sum(len(text.encode()) for text in (short.field, short.description, short.reason))
        if left < 0:
            return (*kept, Violation("", f"and {len(given) - len(kept)} more", "MORE"))
        kept.append(short)
    return tuple(kept)
