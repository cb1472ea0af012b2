"""Failures as people and scripts see them: a line on stderr, and an exit code."""

from __future__ import annotations

import errno
import json
import sys
import traceback
from collections.abc import Iterable
from enum import IntEnum
from typing import Any, Final

from weft.cli._base.interrupts import INTERRUPTED
from weft.cli._base.text import clean
from weft.core.errors import (
    ActionFailedError,
    Code,
    InternalError,
    ServiceUnavailableError,
    UnexpectedStatusError,
    ValidationError,
    Violation,
    WeftError,
)
from weft.core.reasons import Reason

__all__ = [
    "EXIT_CODES",
    "Exit",
    "describe",
    "exit_code",
    "output_fault",
    "report",
    "report_defect",
    "report_output",
    "report_usage",
]


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
    INTERRUPTED = INTERRUPTED


EXIT_CODES: Final[dict[Exit, str]] = {
    Exit.OK: "done; for `run` and `watch`: completed; for `health`: healthy",
    Exit.FAILED: "an execution, action or test failed, or something is not healthy",
    Exit.USAGE: "the command line is wrong; for `workflows test`: a file is",
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

_OF_OUTPUT: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})
"""What writing to a file says that takes no more."""

_BY_REASON: Final[dict[str, Exit]] = {
    Reason.ACTION_FAILED: Exit.FAILED,
    Reason.DESCRIPTORS_UNAVAILABLE: Exit.UNAVAILABLE,
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
    notes: list[str] = getattr(error, "__notes__", [])
    error = explained(error, target)
    if as_json:
        _write_json(_document(error))
        return exit_code(error)
    first, *rest = describe(error)
    for line in (f"Error: {first}", *rest):
        _write(line)
    for hint in (_hint(error, target), *notes):
        if hint:
            _write(f"Hint: {hint}")
    return exit_code(error)


def describe(error: WeftError) -> list[str]:
    """Return what failed, as the lines that people read: a summary, then every fault it does not say."""
    if not isinstance(error, ValidationError) or not error.violations:
        listed = [it for it in error.violations if it.description not in error.message]
        return [clean(error.message), *_indented(listed)]
    if len(error.violations) == 1:
        return [clean(str(error.violations[0]))]
    where = clean(error.metadata.get("files", "the input"))
    return [f"{len(error.violations)} faults in {where}", *_indented(error.violations)]


def _indented(violations: Iterable[Violation]) -> list[str]:
    return [f"  {clean(str(violation))}" for violation in violations]


def explained(error: WeftError, target: str) -> WeftError:
    """Say in words why the server at the target did not answer; other errors stay as they are."""
    if (
        not target
        or not _ours(error)
        or not isinstance(error, ServiceUnavailableError | UnexpectedStatusError)
    ):
        return error
    if error.code is Code.UNIMPLEMENTED and error.reason == Reason.UNEXPECTED_STATUS:
        strange = f"what listens on {target} does not know this call: it is no Weft server, or an older one"
        return ServiceUnavailableError("weft", strange, metadata=error.metadata)
    for mark, text in _CAUSES.items():
        if mark in error.message:
            return ServiceUnavailableError("weft", text.format(target=target), metadata=error.metadata)
    return error


def _ours(error: WeftError) -> bool:
    """Tell whether an error is of the server at the target, not of a provider or of a service called."""
    return error.metadata.get("service", "weft") == "weft"


_CAUSES: Final = {
    "Connection refused": "no server listens on {target}",
    "Received http2 header with status": "what listens on {target} is no gRPC server",
    "Failed parsing HTTP/2": "what listens on {target} is no gRPC server",
    "http1.x server": "what listens on {target} is no gRPC server",
    "DNS resolution failed": "the host of {target} has no address",
    "errors resolving": "the host of {target} has no address",
}
"""Parts of what gRPC says, and what they mean."""


def _hint(error: WeftError, target: str) -> str:
    unavailable = isinstance(error, ServiceUnavailableError) and error.reason == Reason.UNAVAILABLE
    if unavailable and target and _ours(error):
        return "`weft server` starts one, `weft doctor` checks the way, --target names another."
    if error.reason == Reason.SERVICE_EXISTS:
        return "--replace changes a service that is registered."
    if error.reason in {Reason.NO_INSTANCE, Reason.UNAVAILABLE} and error.message.endswith(": 0 known"):
        return "is the name right, and was it started? `weft resolve NAME` shows what is known of it."
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


def output_fault(error: OSError) -> str:
    """Say why stdout could not be written, when that is what failed; else nothing."""
    if error.filename is not None or error.errno not in _OF_OUTPUT:
        return ""
    return f"the output cannot be written: {error.strerror}"


def report_output(fault: str, *, as_json: bool) -> Exit:
    """Say on stderr that stdout could not be written, and return the exit code."""
    if as_json:
        error = {"code": Code.RESOURCE_EXHAUSTED.name, "reason": "OUTPUT", "message": fault}
        _write_json({"error": {**error, "violations": [], "metadata": {}}})
    else:
        _write(f"Error: {fault}")
    return Exit.FAILED


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
