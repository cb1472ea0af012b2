"""An action that answers later."""

from __future__ import annotations

__all__ = ["Pending"]


class Pending(Exception):  # noqa: N818 - it says how far the action is, and is no error
    """Raised in an action: what it began will end later, and its outcome is reported then.

    Whoever ends it calls ``CompleteAttempt`` of the ExecutionService with the
    call's ``attempt_token``, which the action must have handed on before. Until
    then the step's timeouts hold as always. A call without a token, as every
    direct one, cannot be pending: it fails with ACTION_FAILED.
    """
