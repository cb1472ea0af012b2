"""What is wrong with the concurrency key of a workflow."""

from __future__ import annotations

from functools import partial
from typing import Final

from weft.core.reasons import Rule
from weft.server.workflow._expression import FUNCTIONS
from weft.server.workflow._report import AFTER_STEPS, Known, Report
from weft.server.workflow._syntax import MACROS
from weft.server.workflow.model import Concurrency
from weft.server.workflow.template import compile_template

__all__ = ["check_concurrency"]

_SCOPE: Final = ("input", "context")


def check_concurrency(concurrency: Concurrency | None, report: Report) -> None:
    """Report faults of its expressions, and names that they cannot know."""
    if concurrency is None or not concurrency.key:
        return
    template = compile_template({"key": concurrency.key}, "concurrency")
    report.extend(AFTER_STEPS, template.problems)
    for names in template.names:
        for name in sorted(names.functions - FUNCTIONS - MACROS):
            _unknown(report, names.path, f"there is no function {name!r}", Known((*FUNCTIONS, *MACROS)), name)
        for mention in names.mentions:
            if mention.root not in _SCOPE:
                text = f"a concurrency key knows input and context, not {mention.root!r}"
                _unknown(report, names.path, text, Known(_SCOPE), mention.root)


def _unknown(report: Report, path: str, message: str, known: Known, name: str) -> None:
    report.add(AFTER_STEPS, path, Rule.EXPRESSION_NAME_UNKNOWN, message, hint=partial(known.hint, name))
