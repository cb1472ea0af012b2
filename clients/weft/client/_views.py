"""Records as the plain dicts of ``ServiceIntegrationClient``, and its page numbers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from weft.client.records import IntegrationHealth, Page, Record, ServiceHealth, Workflow
from weft.client.records._base import as_dict
from weft.core.errors import ValidationError, Violation
from weft.core.payload import JsonObject
from weft.core.reasons import Rule

T = TypeVar("T")

_MAX_PER_PAGE: Final = 1_000
"""What the server gives at most; more would make the page numbers wrong."""

_MAX_SKIP: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class PageNumber:
    """A page as people count them, from 1."""

    page: int
    """Which one."""
    per_page: int
    """How many items each one has."""
    token: str = ""
    """Goes on where this came from, instead of counting."""

    def request(self) -> dict[str, Any]:
        """Return the arguments of the typed lists.

        Raises:
            ValidationError: A number is out of range.
        """
        faults = [
            Violation(name, f"{value} is not between 1 and {most:,}", Rule.OUT_OF_RANGE)
            for name, value, most in (
                ("page", self.page, _MAX_SKIP),
                ("per_page", self.per_page, _MAX_PER_PAGE),
            )
            if not 1 <= value <= most
        ]
        skip = 0 if self.token else (self.page - 1) * self.per_page
        if not faults and skip > _MAX_SKIP:
            faults = [Violation("page", f"{self.page} is out of range", Rule.OUT_OF_RANGE)]
        if faults:
            raise ValidationError(faults)
        return {"page_size": self.per_page, "page_token": self.token, "skip": skip}

    async def read(self, fetch: Callable[..., Awaitable[Page[T]]]) -> Page[T]:
        """Read the page to its end: of large items the server gives fewer than were asked for.

        Where pages are counted, the next one would pass over the others.

        Args:
            fetch: Reads a part of a list, given ``request()`` or the like.
        """
        found = await fetch(**self.request())
        items, token = found.items, found.next_page_token
        while token and not self.token and len(items) < self.per_page:
            part = await fetch(page_size=self.per_page - len(items), page_token=token, skip=0)
            items, token = (*items, *part.items), part.next_page_token
        return replace(found, items=items, next_page_token=token)

    def view(self, found: Page[T], view: Callable[[T], JsonObject]) -> JsonObject:
        """Return a page with its place among all."""
        return {
            "items": [view(item) for item in found.items],
            "page": self.page,
            "per_page": self.per_page,
            "total": found.total_size,
            "pages": -(-found.total_size // self.per_page),
            "next_page_token": found.next_page_token,
        }


def view(record: Record) -> JsonObject:
    """Return a record with its states as ``status``."""
    return as_dict(record, {"state": "status"})


def workflow_view(workflow: Workflow) -> JsonObject:
    """Return a workflow; ``next`` of its last step is None."""
    found = view(workflow)
    for step in found["steps"]:
        step["next"] = step["next"] or None
    return found


def service_health_view(health: ServiceHealth) -> JsonObject:
    """Return the health of a service, its ``status`` in lower case."""
    return _health_view(health)


def integration_health_view(health: IntegrationHealth) -> JsonObject:
    """Return the health of the whole, every ``status`` in lower case."""
    return {
        **_health_view(health),
        "dependencies": [_health_view(dependency) for dependency in health.dependencies],
        "services": [_health_view(service) for service in health.services],
    }


def _health_view(health: Record) -> JsonObject:
    found = view(health)
    return {"status": found.pop("health").lower(), **found}
