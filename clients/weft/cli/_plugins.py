"""Commands that other packages add, by entry points in the group ``weft.cli.commands``.

An entry point names a command function as Typer takes it, or a ``typer.Typer``
with several. It is listed without being imported, and imported when it runs.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

import typer
from typer.core import TyperCommand

from weft.cli._text import clean
from weft.core.errors import InternalError

__all__ = ["GROUP", "Plugin", "find_plugins"]

GROUP: Final = "weft.cli.commands"

_SUMMARIES: Final = {
    "admin": "Look after a store: backup, restore, verify, migrate, adopt, accept-loss.",
    "server": "Run the Weft server in this terminal.",
}
"""What ``weft --help`` says of our own; reading it from the command would import the server."""


class Plugin(TyperCommand):
    """Stands in the list for a command, and becomes it when it is called."""

    def __init__(self, entry_point: EntryPoint, cls: type[TyperCommand] = TyperCommand) -> None:
        name = entry_point.name
        source = entry_point.dist.name if entry_point.dist else entry_point.module
        super().__init__(name, help=_SUMMARIES.get(name, f"Added by {source}."))
        self._entry_point = entry_point
        self._class = cls

    def make_context(self, info_name: Any, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Load the command and let it parse its own arguments."""
        return self.load().make_context(info_name, args, parent, **extra)

    def load(self) -> Any:
        """Import the command.

        Raises:
            InternalError: It cannot be imported, or is no command.
        """
        try:
            found = self._entry_point.load()
        except Exception as error:
            raise self._broken(f"{type(error).__name__}: {error}") from error
        if isinstance(found, typer.Typer):
            return typer.main.get_command(found)
        if not callable(found):
            raise self._broken(f"{type(found).__name__} is neither a function nor a typer.Typer")
        app = typer.Typer(add_completion=False)
        app.command(self.name, cls=self._class)(found)
        return typer.main.get_command(app)

    def _broken(self, why: str) -> InternalError:
        return InternalError(
            f"the command {self.name!r} cannot be loaded from {self._entry_point.value}: {clean(why)}",
            metadata={"command": str(self.name), "entry_point": self._entry_point.value},
        )


def find_plugins(cls: type[TyperCommand]) -> dict[str, Plugin]:
    """Return every command of the group, by name; the first of a name wins.

    Args:
        cls: What becomes of those that are functions.
    """
    found: dict[str, Plugin] = {}
    for entry_point in sorted(entry_points(group=GROUP), key=lambda it: it.name):
        found.setdefault(entry_point.name, Plugin(entry_point, cls))
    return found
