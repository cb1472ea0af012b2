"""What a file of tests may hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from weft.cli._files.shapes import JSON, OBJECT, SPAN, TEXT, WHOLE, Field, Shape, list_of
from weft.core.errors import Code, ValidationError, Violation
from weft.core.reasons import Rule

__all__ = ["STATES", "TEST_FILE"]

STATES: Final = ("COMPLETED", "FAILED", "TIMED_OUT", "RUNNING", "INCIDENT")
"""Where an execution can stand at the end of a test; it cannot be paused or cancelled."""

_CODES: Final = [code.name for code in Code if code]
_MANY: Final = 1_000


def _fault(path: str, description: str, rule: Rule = Rule.INVALID) -> ValidationError:
    return ValidationError([Violation(path, description, rule)])


def _one_of(names: Iterable[str]) -> Field:
    known = list(names)

    def read(value: Any, path: str) -> str:
        name: str = TEXT.read(value, path).upper()
        if name not in known:
            raise _fault(path, f"{name[:80]!r} is none of {', '.join(known)}")
        return name

    return Field(read=read, schema={"enum": [*known, *map(str.lower, known)]})


def _time(value: Any, path: str) -> datetime:
    text = TEXT.read(value, path)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise _fault(path, f"{text[:40]!r} is no time; write 2027-01-01T00:00:00Z") from None
    if found.tzinfo is None:
        raise _fault(path, f"{text[:40]!r} has no time zone; write {text[:30]}Z for UTC")
    return found


def _check_result(result: Mapping[str, Any], path: str) -> list[Violation]:
    said = [name for name in ("output", "failure") if result.get(name) is not None]
    if len(said) == 1:
        return []
    if said:
        return [Violation(path, "has output and failure; a result is one of them", Rule.INVALID)]
    return [Violation(path, "is neither output nor failure", Rule.REQUIRED)]


_FAILURE: Final = Shape("TestFailure").having({"reason": TEXT, "code": _one_of(_CODES), "message": TEXT})

_RESULT: Final = Shape("TestResult", (), _check_result).having(
    {"output": OBJECT, "failure": _FAILURE.field, "takes": SPAN}
)
_ATTEMPTS: Final = list_of(_RESULT.field, _MANY)


def _result(value: Any, path: str) -> Any:
    """Read the result of a step: one, or a list of those of its attempts."""
    if not isinstance(value, list):
        return _RESULT.read(value, path)
    if not value:
        raise _fault(path, "is an empty list: give one result at least", Rule.REQUIRED)
    return _ATTEMPTS.read(value, path)


def _results(value: Any, path: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    faults: list[Violation] = []
    for step, given in OBJECT.read(value, path).items():
        try:
            found[step] = _result(given, f"{path}.{step}")
        except ValidationError as error:
            faults.extend(error.violations)
    if faults:
        raise ValidationError(faults)
    return found


_MESSAGE: Final = Shape("TestMessage", ("name",)).having(
    {"name": TEXT, "correlation": TEXT, "payload": OBJECT, "after": SPAN}
)

_EXPECT: Final = Shape("TestExpectation").having(
    {
        "state": _one_of(STATES),
        "result": OBJECT,
        "failure": TEXT,
        "steps": list_of(TEXT),
        "takes": SPAN,
    }
)

_CASE: Final = Shape("TestCase", ("name",)).having(
    {
        "name": TEXT,
        "input": OBJECT,
        "results": Field(read=_results, schema=JSON.schema),
        "messages": list_of(_MESSAGE.field, _MANY),
        "start_time": Field(read=_time, schema=TEXT.schema),
        "expect": _EXPECT.field,
    }
)


def _check_file(document: Mapping[str, Any], path: str) -> list[Violation]:
    said = [name for name in ("workflow", "name") if document.get(name) is not None]
    if len(said) != 1:
        text = f"{'has both' if said else 'needs one of'} workflow (a file) and name (of one on the server)"
        return [Violation(path, text, Rule.INVALID if said else Rule.REQUIRED)]
    if said == ["workflow"] and document.get("version") is not None:
        return [Violation("version", "goes with name, not with workflow", Rule.INVALID)]
    return []


def _cases(value: Any, path: str) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = list_of(_CASE.field).read(value, path)
    if not cases:
        raise _fault(path, "is empty: there is nothing to test", Rule.REQUIRED)
    first: dict[str, int] = {}
    faults = []
    for number, case in enumerate(cases):
        name = case["name"]
        if name in first:
            text = f"{name[:80]!r} is the name of {path}[{first[name]}] already"
            faults.append(Violation(f"{path}[{number}].name", text, Rule.DUPLICATE))
        first.setdefault(name, number)
    if faults:
        raise ValidationError(faults)
    return cases


TEST_FILE: Final = Shape("TestFile", ("cases",), _check_file).having(
    {"workflow": TEXT, "name": TEXT, "version": WHOLE, "cases": Field(read=_cases, schema=JSON.schema)}
)
"""A file of tests."""
