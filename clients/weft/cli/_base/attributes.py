"""Search attributes, filters and groups as options."""

from __future__ import annotations

import json
from math import isfinite
from typing import Annotated, Final

import typer

from weft.cli._base.options import chosen_pairs

__all__ = ["AttributeOption", "FilterOption", "chosen_attributes"]

_TOO_LARGE: Final = 2**63
"""From here on digits are a text, such as the number of an order."""

AttributeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--attribute",
        metavar="NAME=VALUE",
        help="What it can be found by: 10 is a number, true a boolean, anything else text; may be repeated.",
    ),
]

FilterOption = Annotated[
    str,
    typer.Option(
        "--filter",
        metavar="FILTER",
        help="""Such as 'state = FAILED AND attributes.customer = "acme" AND create_time > now-7d'.""",
    ),
]


def chosen_attributes(ctx: typer.Context, pairs: list[str] | None) -> dict[str, str | float | bool]:
    """Return what ``--attribute`` says; a text that looks like a number stands in quotes: ``zip='"01"'``."""
    return {name: _value(text) for name, text in chosen_pairs(ctx, pairs, "--attribute").items()}


def _value(text: str) -> str | float | bool:
    try:
        found = json.loads(text)
    except ValueError:
        return text
    if isinstance(found, float) and not isfinite(found):
        return text
    if isinstance(found, int) and abs(found) >= _TOO_LARGE:
        return text
    return found if isinstance(found, str | int | float) else text
