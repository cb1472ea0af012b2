"""Page tokens: opaque, of one list, and never a way to break anything."""

from __future__ import annotations

import base64

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.api.registry.v1.registry_service_pb2 import ListServicesRequest, ListServicesResponse
from weft.core.reasons import Rule
from weft.server.requests import MAX_PAGE_SIZE, Faults, close_page, read_page
from weft.server.store.base import Page, Slice

calmly = settings(deadline=None)
"""A machine that is busy is no fault."""

SCOPE = ("services", "ACTIVE")
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)


def token_of(after: str, scope: tuple[str, ...] = SCOPE) -> str:
    """Return the token of a page that ends with an item."""
    _, token = close_page(Slice((after,), more=True, total=2), [ListServicesResponse()], str, scope)
    return token


def read(request: ListServicesRequest, *, numeric: bool = False) -> tuple[Page, list[tuple[str, str]]]:
    faults = Faults()
    page = read_page(request, SCOPE, faults, numeric=numeric)
    return page, [(violation.field, violation.reason) for violation in faults.found]


@calmly
@given(texts)
def test_a_token_leads_on_after_the_item_it_was_made_of(after: str) -> None:
    """Whatever the item is called."""
    page, faults = read(ListServicesRequest(page_token=token_of(after)))
    assert (page.after, faults) == (after, [])


@calmly
@given(texts, st.lists(texts, max_size=3).map(tuple))
def test_a_token_of_another_scope_is_refused(after: str, scope: tuple[str, ...]) -> None:
    """Other list or other filter: the same fault."""
    if scope != SCOPE:
        page, faults = read(ListServicesRequest(page_token=token_of(after, scope)))
        assert (page.after, faults) == ("", [("page_token", Rule.PAGE_TOKEN_INVALID)])


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(value)).decode().rstrip("=")


forged = st.one_of(
    texts,
    st.binary(max_size=40).map(lambda data: base64.urlsafe_b64encode(data).decode()),
    st.recursive(
        st.none() | st.integers(-9, 9) | texts, lambda inner: st.lists(inner, max_size=3), max_leaves=5
    ).map(encoded),
)


@calmly
@given(forged, st.booleans())
def test_no_text_does_more_than_be_refused(token: str, numeric: bool) -> None:  # noqa: FBT001 - a given value
    """Random text, random base64, and JSON of another form."""
    page, faults = read(ListServicesRequest(page_token=token), numeric=numeric)
    assert page.after == ""
    assert faults == ([("page_token", Rule.PAGE_TOKEN_INVALID)] if token else [])


@pytest.mark.parametrize("after", ["x", "-1", "1.0", "9" * 19, "٣²", " 1"])
def test_a_numeric_list_takes_numbers_only(after: str) -> None:
    """Also when the token itself is one of ours."""
    page, faults = read(ListServicesRequest(page_token=token_of(after)), numeric=True)
    assert (page.after, faults) == ("", [("page_token", Rule.PAGE_TOKEN_INVALID)])


@calmly
@given(st.integers(-(2**31), 2**31 - 1), st.integers(-(2**31), 2**31 - 1))
def test_sizes_and_skips_are_bounded(size: int, skip: int) -> None:
    """0 is the default, more than the most is the most, and negative ones are faults."""
    page, faults = read(ListServicesRequest(page_size=size, skip=skip))
    assert {field for field, _ in faults} == {
        name for name, value in (("page_size", size), ("skip", skip)) if value < 0
    }
    assert {rule for _, rule in faults} <= {Rule.OUT_OF_RANGE}
    if not faults:
        assert (page.size, page.skip) == (min(size or 50, MAX_PAGE_SIZE), skip)


def test_a_page_is_cut_where_it_gets_too_large_and_goes_on_there() -> None:
    """At least one item is on it, so that walking on always ends."""
    bulky = [ListServicesResponse(next_page_token="x" * 2_000_000) for _ in range(3)]
    found = Slice(("a", "b", "c"), more=False, total=3)
    shown, token = close_page(found, bulky, str, SCOPE)
    assert len(shown) == 1
    assert read(ListServicesRequest(page_token=token))[0].after == "a"
    shown, token = close_page(Slice(("c",), more=False, total=3), bulky[2:], str, SCOPE)
    assert (len(shown), token) == (1, "")
    assert close_page(Slice((), more=False, total=0), [], str, SCOPE) == ([], "")


def test_a_token_with_what_no_store_can_look_for_is_none() -> None:
    """PostgreSQL takes no text with U+0000; whoever forges one is told like any other."""
    _, faults = read(ListServicesRequest(page_token=token_of("a\0b")))
    assert faults == [("page_token", Rule.PAGE_TOKEN_INVALID)]
