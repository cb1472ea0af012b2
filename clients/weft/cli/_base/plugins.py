"""Commands that other packages add, by entry points in the group ``weft.cli.commands``.

An entry point names a command function as Typer takes it, or a ``typer.Typer``
with several. It is listed without being imported, and imported when it runs.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from weft.cli._base.text import clean
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

    def __init__(
        self,
        entry_point: EntryPoint,
        cls: type[TyperCommand] = TyperCommand,
        group: type[TyperGroup] = TyperGroup,
    ) -> None:
        name = entry_point.name
        source = entry_point.dist.name if entry_point.dist else entry_point.module
        super().__init__(name, help=_SUMMARIES.get(name, f"Added by {source}."))
        self._entry_point = entry_point
        self._class = cls
        self._group = group

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
            self._dress(found)
            return typer.main.get_command(found)
        if not callable(found):
            raise self._broken(f"{type(found).__name__} is neither a function nor a typer.Typer")
        app = typer.Typer(add_completion=False)
        app.command(self.name, cls=self._class)(found)
        return typer.main.get_command(app)

    def _dress(self, app: typer.Typer) -> None:
        """Have its commands look like ours, where it does not say how they look."""
        for command in app.registered_commands:
            if command.cls in {None, TyperCommand}:
                command.cls = self._class
        if not isinstance(app.info.cls, type):
            app.info.cls = self._group
        for inner in app.registered_groups:
            if inner.typer_instance is not None:
                self._dress(inner.typer_instance)

    def _broken(self, why: str) -> InternalError:
        return InternalError(
            f"the command {self.name!r} cannot be loaded from {self._entry_point.value}: {clean(why)}",
            metadata={"command": str(self.name), "entry_point": self._entry_point.value},
        )


def find_plugins(cls: type[TyperCommand], group: type[TyperGroup]) -> dict[str, Plugin]:
    """Return every command of the group, by name; the first of a name wins.

    Args:
        cls: What becomes of each that is a function.
        group: What becomes of those that have several.
    """
    found: dict[str, Plugin] = {}
    for entry_point in sorted(entry_points(group=GROUP), key=lambda it: it.name):
        found.setdefault(entry_point.name, Plugin(entry_point, cls, group))
    return found
