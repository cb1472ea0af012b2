from __future__ import annotations

import pytest

from weft.client._views import PageNumber
from weft.client.records import Page
from weft.core.errors import ValidationError


@pytest.mark.parametrize(
    ("page", "per_page", "skip"), [(1, 10, 0), (2, 10, 10), (7, 25, 150), (1, 1000, 0), (1001, 1, 1000)]
)
def test_a_page_passes_over_those_before_it(page: int, per_page: int, skip: int) -> None:
    """Page 1 is the first."""
    assert PageNumber(page, per_page).request() == {"page_size": per_page, "page_token": "", "skip": skip}


@pytest.mark.parametrize(
    ("total", "per_page", "pages"), [(0, 10, 0), (1, 10, 1), (10, 10, 1), (11, 10, 2), (1000, 1, 1000)]
)
def test_the_last_page_may_be_shorter(total: int, per_page: int, pages: int) -> None:
    """The number of pages is rounded up."""
    view = PageNumber(1, per_page).view(Page((), "", total), lambda item: item)
    assert (view["total"], view["pages"], view["items"]) == (total, pages, [])


def test_page_numbers_that_the_wire_cannot_hold_are_refused() -> None:
    """The product is what counts."""
    assert PageNumber(2_147_483, 1000).request()["skip"] == 2_147_482_000
    with pytest.raises(ValidationError, match="page: 2147485 is out of range"):
        PageNumber(2_147_485, 1000).request()
    with pytest.raises(ValidationError) as caught:
        PageNumber(-1, -1).request()
    assert [violation.field for violation in caught.value.violations] == ["page", "per_page"]
