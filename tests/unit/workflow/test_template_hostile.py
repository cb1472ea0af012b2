"""Templates made to keep the server busy fail at once."""

from __future__ import annotations

import time
from typing import Any

import pytest

from weft.core.errors import PreconditionError
from weft.server.workflow.expressions.template import compile_template

LARGE = "a" * 1_000_000
SCOPE: dict[str, Any] = {
    "input": {"s": LARGE, "list": list(range(150_000)), "small": "a" * 1_000, "n": 1, "o": {"s": LARGE}},
}


def fault(value: Any) -> str:
    """Return why a template fails, which must be known soon."""
    template = compile_template({"x": value}, "p")
    assert not template.problems
    started = time.process_time()
    with pytest.raises(PreconditionError) as caught:
        template.render(SCOPE)
    assert time.process_time() - started < 0.5
    assert len(str(caught.value)) < 1_000
    return str(caught.value)


def test_sums_of_large_texts_are_counted() -> None:
    """Each expression is small, and all of them would make a gigabyte."""
    text = "${" + " + ".join(["input.s"] * 32) + "}"
    assert "more than 20,000,000 steps" in fault([text] * 32)
    assert "more than 20,000,000 steps" in fault(text)
    hidden = "${size(" + " + ".join(["input.s"] * 12) + ")}"
    assert "more than 20,000,000 steps" in fault([hidden] * 250)


@pytest.mark.parametrize(
    "value",
    [
        ["${input.s}"] * 250,
        "${input.s}" * 250,
        ["${input.o}"] * 250,
        "${input.list}" * 250,
        ["${input.list}"] * 250,
        ["${input.s + 'a'}"] * 200,
        ["${[input.s, input.s]}"] * 200,
    ],
    ids=["texts", "inserted", "objects", "lists inserted", "lists", "sums", "new lists"],
)
def test_a_rendered_object_ends_at_the_size_of_a_payload(value: Any) -> None:
    """It is not built first and measured then."""
    assert "the rendered object is over 1,048,576 bytes" in fault(value)


def test_long_lists_are_measured_once() -> None:
    """However many expressions ask for their size."""
    template = compile_template({"x": ["${size(input.list) + 1}"] * 50}, "p")
    started = time.process_time()
    assert template.render(SCOPE) == {"x": [150_001] * 50}
    assert time.process_time() - started < 2


def test_what_fits_is_rendered() -> None:
    """Up to the limit itself, once, and many small values."""
    assert compile_template({"x": "${input.s}"}, "p").render(SCOPE) == {"x": LARGE}
    assert compile_template({"x": "${input.list}"}, "p").render(SCOPE)["x"] is SCOPE["input"]["list"]
    many = compile_template({"x": ["${input.small + input.small}"] * 256}, "p")
    assert many.render(SCOPE)["x"][255] == "a" * 2_000
