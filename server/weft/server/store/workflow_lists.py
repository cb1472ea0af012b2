"""Which list of workflows is asked for, as the name of its queries and their parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from weft.server.forms import NewerReleaseError
from weft.server.store.base import Slice
from weft.server.store.codec import WorkflowRow, decode_workflow_row, encode_labels
from weft.server.workflow.model import Workflow, WorkflowState

__all__ = ["Newer", "labelled", "read_or_newer", "readable"]


@dataclass(frozen=True, slots=True)
class Newer:
    """A workflow that only servers of a newer release can read."""

    name: str


def read_or_newer(row: WorkflowRow) -> Workflow | Newer:
    """Read a workflow of a list, or else its name."""
    try:
        return decode_workflow_row(row)
    except NewerReleaseError:
        return Newer(orjson.loads(row.head)["name"])


def readable(page: Slice[Workflow | Newer]) -> Slice[Workflow]:
    """Set apart what cannot be read; the page goes on behind the last one, whichever it is."""
    return Slice(
        tuple(it for it in page.items if isinstance(it, Workflow)),
        page.more,
        page.total,
        next_after=page.items[-1].name if page.items else "",
        unread=tuple(it.name for it in page.items if isinstance(it, Newer)),
    )


def labelled(state: WorkflowState | None, labels: Mapping[str, str] | None) -> tuple[str, tuple[str, ...]]:
    """Return the queries of a list, without ``list_`` and ``count_``, and what they take first.

    Args:
        state: Only workflows in this state.
        labels: Only workflows that have all of these.
    """
    if labels:
        return "workflows_by_labels", (state.value if state else "", encode_labels(labels) or "{}")
    return ("workflows_by_state", (state.value,)) if state else ("workflows", ())
