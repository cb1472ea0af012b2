"""``--attribute``: what is a number, what a boolean, and what a text."""

from __future__ import annotations

import pytest
import typer

from weft.cli._base.attributes import chosen_attributes


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10", 10),
        ("-1.5e3", -1500.0),
        ("1e20", 1e20),
        ("true", True),
        ('"01"', "01"),
        ("acme", "acme"),
        ("01", "01"),
        ("null", "null"),
        ("[1]", "[1]"),
        ("NaN", "NaN"),
        ("Infinity", "Infinity"),
        ("1e999", "1e999"),
        ("99999999999999999999999", "99999999999999999999999"),
    ],
)
def test_what_is_no_number_that_can_be_kept_is_a_text(text: str, value: object) -> None:
    """Also one that Python takes for a number, and JSON does not; and the digits of a long order number."""
    context = typer.Context(typer.main.get_command(typer.Typer(callback=lambda: None)))
    found = chosen_attributes(context, [f"a={text}"])["a"]
    assert (found, type(found)) == (value, type(value))
