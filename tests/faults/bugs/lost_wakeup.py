"""Nobody who follows an execution is woken by what happens."""

from __future__ import annotations

from weft.server.execution.hub import Hub


def plant() -> None:
    def changed(self: Hub, execution_id: str) -> None:
        """Tell nobody."""

    Hub.changed = changed  # type: ignore[method-assign]
