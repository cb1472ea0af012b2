"""Failures as people and scripts see them: a line on stderr, and an exit code."""

from __future__ import annotations

import json
import sys
import traceback
from enum import IntEnum
from typing import Any, Final

from weft.cli._text import clean
from weft.core.errors import (
    ActionFailedError,
    Code,
    InternalError,
    ServiceUnavailableError,
    Violation,
    WeftError,
)
from weft.core.reasons import Reason

__all__ = ["EXIT_CODES", "Exit", "exit_code", "report", "report_defect", "report_usage"]


class Exit(IntEnum):
    """What the exit code of the command says."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    INVALID = 4
    CONFLICT = 5
    UNAVAILABLE = 6
    DEADLINE = 7
    INTERNAL = 70
    INTERRUPTED = 130


EXIT_CODES: Final[dict[Exit, str]] = {
    Exit.OK: "done; for `run` and `watch`: completed; for `health`: healthy",
    Exit.FAILED: "an execution or action failed, or something is not healthy",
    Exit.USAGE: "the command line is wrong",
    Exit.NOT_FOUND: "what was named does not exist",
    Exit.INVALID: "the input is not valid",
    Exit.CONFLICT: "it exists already, or is in another state than needed",
    Exit.UNAVAILABLE: "the server or a service cannot be reached, or is full",
    Exit.DEADLINE: "time ran out",
    Exit.INTERNAL: "a defect of Weft",
    Exit.INTERRUPTED: "stopped by Ctrl-C",
}
"""Every exit code, for ``weft --help`` and the documentation."""

_BY_CODE: Final[dict[Code, Exit]] = {
    Code.CANCELLED: Exit.FAILED,
    Code.INVALID_ARGUMENT: Exit.INVALID,
    Code.OUT_OF_RANGE: Exit.INVALID,
    Code.NOT_FOUND: Exit.NOT_FOUND,
    Code.ALREADY_EXISTS: Exit.CONFLICT,
    Code.ABORTED: Exit.CONFLICT,
    Code.FAILED_PRECONDITION: Exit.CONFLICT,
    Code.PERMISSION_DENIED: Exit.FAILED,
    Code.UNAUTHENTICATED: Exit.FAILED,
    Code.RESOURCE_EXHAUSTED: Exit.UNAVAILABLE,
    Code.UNAVAILABLE: Exit.UNAVAILABLE,
    Code.DEADLINE_EXCEEDED: Exit.DEADLINE,
}

_BY_REASON: Final[dict[str, Exit]] = {
    Reason.ACTION_FAILED: Exit.FAILED,
    Reason.ACTION_OUTPUT_INVALID: Exit.FAILED,
    Reason.ACTION_OUTPUT_TOO_LARGE: Exit.FAILED,
    Reason.RESULT_INVALID: Exit.FAILED,
    Reason.EXPRESSION_FAILED: Exit.FAILED,
    Reason.MESSAGE_TOO_LARGE: Exit.INVALID,
}
"""Where the reason says more than the code: it was the action that failed, not the request."""


def exit_code(error: WeftError) -> Exit:
    """Return the exit code of a failure."""
    if isinstance(error, ActionFailedError):
        return Exit.FAILED
    return _BY_REASON.get(error.reason) or _BY_CODE.get(error.code, Exit.INTERNAL)


def report(error: WeftError, *, as_json: bool, target: str = "", debug: bool = False) -> Exit:
    """Say on stderr what failed, and return the exit code.

    Args:
        error: What failed.
        as_json: Whether programs read it.
        target: The server, for a hint when nobody answered there.
        debug: Whether to show where it happened.
    """
    if debug:
        traceback.print_exception(error)
    if as_json:
        _write_json(_document(error))
        return exit_code(error)
    _write(f"Error: {_summary(error)}")
    for violation in _listed(error):
        _write(f"  {clean(str(violation))}")
    hint = _hint(error, target)
    if hint:
        _write(f"Hint: {hint}")
    return exit_code(error)


def _summary(error: WeftError) -> str:
    """Return the message; of faults in the input the only one, or how many follow."""
    if error.code is not Code.INVALID_ARGUMENT or not error.violations:
        return clean(error.message)
    if len(error.violations) == 1:
        return clean(str(error.violations[0]))
    return f"{len(error.violations)} faults in the input"


def _listed(error: WeftError) -> tuple[Violation, ...]:
    """Return the violations that the summary does not say."""
    alone = error.code is Code.INVALID_ARGUMENT and len(error.violations) == 1
    return () if alone else error.violations


def _hint(error: WeftError, target: str) -> str:
    if isinstance(error, ServiceUnavailableError) and error.reason == Reason.UNAVAILABLE and target:
        return f"is the server running at {target}? `weft server` starts one, `weft doctor` checks the way."
    return ""


def _document(error: WeftError) -> dict[str, Any]:
    return {
        "error": {
            "code": error.code.name,
            "reason": str(error.reason),
            "message": error.message,
            "violations": [
                {"field": v.field, "description": v.description, "reason": str(v.reason)}
                for v in error.violations
            ],
            "metadata": error.metadata,
        }
    }


def report_usage(message: str, *, command: str, as_json: bool) -> Exit:
    """Say on stderr what is wrong with the command line, and return the exit code."""
    if as_json:
        _write_json(
            {
                "error": {
                    "code": Code.INVALID_ARGUMENT.name,
                    "reason": "USAGE",
                    "message": message,
                    "violations": [],
                    "metadata": {"command": command},
                }
            }
        )
    else:
        _write(f"Error: {clean(message)}")
        _write(f"Try `{command} --help`.")
    return Exit.USAGE


def report_defect(error: Exception, *, as_json: bool, debug: bool) -> Exit:
    """Say on stderr that the command itself has a defect, and return the exit code."""
    if debug:
        traceback.print_exception(error)
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if as_json:
        _write_json(_document(InternalError(text)))
    else:
        _write(f"Error: {clean(text)}")
        if not debug:
            _write("This is a defect of Weft. With --debug before the command it shows where.")
    return Exit.INTERNAL


def _write(line: str) -> None:
    sys.stderr.write(line + "\n")


def _write_json(document: dict[str, Any]) -> None:
    _write(json.dumps(document, ensure_ascii=False))
