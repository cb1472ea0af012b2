"""An action's failure in the form that travels: text that UTF-8 can say, and not too much of it."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from typing import Final

from weft.core.errors import ActionFailedError, Code, Violation, WeftError
from weft.core.reasons import Reason

__all__ = ["failure_of", "failure_of_exception"]

_log = logging.getLogger("weft.service")

_REASON: Final = re.compile(r"[A-Z][A-Z0-9_]{0,62}")
"""What a program can compare, and google.rpc.ErrorInfo takes."""

_MAX_MESSAGE: Final = 2_400
_MAX_METADATA: Final = 1_024
_MAX_VIOLATIONS: Final = 3_000
"""Bytes of each on the wire. Together they stay below the 8 KB from which gRPC drops metadata at random."""

_OURS: Final = frozenset({Code.OK, Code.UNKNOWN, Code.INTERNAL})
"""Codes that say nothing, or that say a defect of ours: an action's failure is neither."""


def failure_of(error: WeftError) -> ActionFailedError:
    """Return what the caller of an action sees of an error raised in it."""
    code = Code.ABORTED if error.code in _OURS else error.code
    reason, metadata = _clean(error.reason), error.metadata
    if _REASON.fullmatch(reason) is None:
        # A text in the place of a reason is no reason to lose what the action says.
        _log.warning("reason %r is not UPPER_SNAKE_CASE; the caller gets ACTION_FAILED instead", reason)
        metadata = {"reason": reason, **metadata} if reason else metadata
        reason = Reason.ACTION_FAILED
    return ActionFailedError(
        _shorten(_clean(error.message), _MAX_MESSAGE),
        reason=reason,
        code=code,
        metadata=_metadata(metadata),
        violations=_violations(error.violations),
        retry_after=error.retry_after,
    )


def failure_of_exception(error: BaseException) -> ActionFailedError:
    """Return what the caller of an action sees of any other exception: its type and message."""
    name = type(error).__name__
    text = _text(error)
    message = f"{name}: {text}" if text else name
    return failure_of(ActionFailedError(message, metadata={"type": name}))


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception as error:  # __str__ is the user's code
        return f"({type(error).__name__} while writing the message)"


def _clean(value: object) -> str:
    """Return text without lone surrogates, which protobuf cannot carry."""
    return _text(value).encode("utf-8", "replace").decode("utf-8")


def _metadata(given: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    left = _MAX_METADATA
    for key, value in given.items():
        name, text = _shorten(_clean(key), 128), _shorten(_clean(value), 256)
        left -= len(name.encode()) + len(text.encode())
        if left < 0:
            break
        found[name] = text
    return found


def _violations(violations: Iterable[Violation]) -> list[Violation]:
    """Keep what fits; the last one says how many more there were."""
    every = list(violations)
    kept: list[Violation] = []
    left = _MAX_VIOLATIONS
    for violation in every:
        clean = Violation(
            _shorten(_clean(violation.field), 256),
            _shorten(_clean(violation.description), 512),
            _clean(violation.reason),
        )
        left -= len(f"{clean.field}{clean.description}{clean.reason}".encode())
        if left < 0:
            return [*kept, Violation("", f"and {len(every) - len(kept)} more", "MORE")]
        kept.append(clean)
    return kept


def _shorten(text: str, limit: int) -> str:
    """Cut text to a number of bytes on the wire, where gRPC escapes all but printable ASCII."""
    if len(text) * 12 <= limit:
        return text
    used = 0
    for position, character in enumerate(text):
        used += 1 if " " <= character <= "~" else 3 * len(character.encode())
        if used > limit - 9:
            return text[:position] + "…"
    return text
