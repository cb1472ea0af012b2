"""Which list of workflows is asked for, as the name of its queries and their parameters."""

from __future__ import annotations

from collections.abc import Mapping

from weft.server.store.codec import encode_labels
from weft.server.workflow.model import WorkflowState

__all__ = ["labelled"]


def labelled(state: WorkflowState | None, labels: Mapping[str, str] | None) -> tuple[str, tuple[str, ...]]:
    """Return the queries of a list, without ``list_`` and ``count_``, and what they take first.

    Args:
        state: Only workflows in this state.
        labels: Only workflows that have all of these.
    """
    if labels:
        return "workflows_by_labels", (state.value if state else "", encode_labels(labels) or "{}")
    return ("workflows_by_state", (state.value,)) if state else ("workflows", ())
