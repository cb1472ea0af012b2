"""``docs/errors.md`` and ``weft.core.reasons`` say the same, and the code raises nothing else."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from weft.core import errors
from weft.core.errors import Code, ResourceNotFoundError, ServiceUnavailableError, WeftError
from weft.core.reasons import Reason, Rule

ROOT = Path(__file__).parents[3]
SOURCES = [
    path
    for folder in ("core", "discovery", "mesh", "clients", "server")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
CLASSES = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, WeftError)
}
NOT_REASONS = {"MORE"}
"""A rule that only says how many more there are."""


def table(heading: str) -> dict[str, list[str]]:
    """Return the rows below a heading of the docs by their first cell."""
    text = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    section = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [
        re.split(r"\s*\|\s*", line.strip("| ")) for line in section.splitlines() if line.startswith("| `")
    ]
    assert len(rows) == len({row[0] for row in rows}), "a row stands there twice"
    return {row[0].strip("`"): row[1:] for row in rows}


REASONS = table("Reasons")
RULES = table("Rules")


def test_every_reason_is_documented_and_no_other() -> None:
    """The table of reasons is that of the code, in its order."""
    assert list(REASONS) == [reason.value for reason in Reason]


def test_every_rule_is_documented_and_no_other() -> None:
    """The table of rules is that of the code, in its order."""
    assert list(RULES) == [rule.value for rule in Rule]


def test_names_are_values() -> None:
    """A member is called what it says, so that ``Reason.X`` can be searched for."""
    assert all(member.name == member.value for members in (Reason, Rule) for member in members)


@pytest.mark.parametrize("reason", list(REASONS))
def test_every_row_is_complete(reason: str) -> None:
    """Code, whether to try again, meaning and advice; exactly the unavailable may be tried again."""
    code, again, meaning, *_ = REASONS[reason]
    assert code in Code.__members__
    assert again == ("yes" if Code[code] is ServiceUnavailableError.code else "no")
    assert meaning.endswith(".")


def raised() -> Iterator[tuple[str, str]]:
    """Yield the class and the reason of every error that the sources make with a reason."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            kind = CLASSES.get(node.func.id)
            if kind is None:
                continue
            given = next((keyword.value for keyword in node.keywords if keyword.arg == "reason"), None)
            if isinstance(given, ast.Attribute) and ast.unparse(given.value) == "Reason":
                yield kind.__name__, given.attr
            elif given is None and issubclass(kind, ResourceNotFoundError):
                what = node.args[0]
                if isinstance(what, ast.Constant) and isinstance(what.value, str):
                    yield kind.__name__, f"{what.value}_NOT_FOUND".upper().replace(" ", "_")


def test_every_error_is_raised_with_the_code_that_its_reason_has() -> None:
    """What the sources raise is documented, with the code of the class that they raise."""
    found = set(raised())
    assert len(found) > 20
    for kind, reason in found:
        assert Code[REASONS[reason][0]] is CLASSES[kind].code, (kind, reason)


@pytest.mark.parametrize("kind", CLASSES.values(), ids=CLASSES)
def test_the_default_reason_of_a_class_has_its_code(kind: type[WeftError]) -> None:
    """An error that is raised without a reason is documented too."""
    if kind is not WeftError:
        assert kind.default_reason in REASONS
    if kind not in {WeftError, errors.UnexpectedStatusError}:
        assert Code[REASONS[kind.default_reason][0]] is kind.code


def test_every_reason_and_rule_is_used() -> None:
    """The table has no row that nothing gives: each is named in the sources, or made of a resource."""
    made = {f"{what}_NOT_FOUND" for what in ("ACTION", "INSTANCE", "WORKFLOW", "EXECUTION", "BATCH")}
    sources = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES if path.name != "reasons.py")
    named = set(re.findall(r"\b(?:Reason|Rule)\.([A-Z_]+)\b", sources))
    hinted = {f"{what.upper()}_NOT_FOUND" for what in re.findall(r"\bnot_found\(\"(\w+)\"", sources)}
    assert {*REASONS, *RULES} - named <= made | hinted
    assert made <= {reason for _, reason in raised()} | hinted


def test_no_reason_is_spelled_out() -> None:
    """Reasons and rules in the server and the mesh are members of the table, never plain text."""
    texts = set()
    for path in SOURCES:
        if path.relative_to(ROOT).parts[0] in {"server", "mesh", "core"}:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.keyword) and node.arg == "reason":
                    texts |= {str(node.value.value)} if isinstance(node.value, ast.Constant) else set()
    assert texts - {"None", ""} <= NOT_REASONS
