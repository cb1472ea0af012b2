"""From page to page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from weft.client.records import Page

T = TypeVar("T")


async def all_pages(fetch: Callable[[str], Awaitable[Page[T]]]) -> AsyncIterator[T]:
    """Yield the items of every page.

    Args:
        fetch: Reads the page of a token; the first one has the empty token.
    """
    token = ""
    while True:
        page = await fetch(token)
        for item in page.items:
            yield item
        token = page.next_page_token
        if not token:
            return
