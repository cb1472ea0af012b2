"""What is wrong with a command line, in words of ours: the library behind it has those of a schema."""

from __future__ import annotations

from typing import Any, Final

import typer

__all__ = ["usage_fault"]

_WORDS: Final = {
    "greater_than": "it is more than {gt}",
    "greater_than_equal": "it is at least {ge}",
    "less_than": "it is less than {lt}",
    "less_than_equal": "it is at most {le}",
    "int_parsing": "{input!r} is no whole number",
    "int_parsing_size": "{input!r} is no whole number that can be counted",
    "int_from_float": "{input!r} is no whole number",
    "float_parsing": "{input!r} is no number",
    "finite_number": "{input!r} is no number",
    "value_error": "{error}",
}
"""By the type of the fault."""
_LONGEST: Final = 80


def usage_fault(error: typer.TyperException) -> str:
    """Return what is wrong with the command line, in one sentence."""
    text = error.format_message()
    faults: Any = getattr(error.__cause__, "errors", list)
    for fault in faults():
        words = _WORDS.get(fault["type"])
        if words is not None:
            given = {"input": str(fault.get("input"))[:_LONGEST], **fault.get("ctx", {})}
            text = text.replace(fault["msg"], words.format(**given))
    return text
