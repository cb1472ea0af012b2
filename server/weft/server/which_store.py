"""Which store a command works on, where options and the environment name several."""

from __future__ import annotations

import typer

from weft.server.config import ConfigError

__all__ = ["chosen_url"]

_OF_A_DATABASE = "--schema is of a PostgreSQL database: "


def chosen_url(context: typer.Context, database_url: str) -> str:
    """Return the URL of the database that counts; empty where a folder does.

    What is typed wins over the environment. A command must not work on another store
    than the one that was typed, so options that name two, or half of one, are refused.

    Args:
        context: Of a command with the options ``DataDir``, ``DatabaseUrl`` and ``DatabaseSchema``.
        database_url: What the second one says, or its variable.

    Raises:
        ConfigError: The options contradict each other.
    """
    folder = _is_typed(context, "data_dir")
    if folder and database_url and _is_typed(context, "database_url"):
        raise ConfigError("--data-dir and --database-url name two stores: give one of them")
    if _is_typed(context, "database_schema"):
        if folder:
            raise ConfigError(_OF_A_DATABASE + "it goes with --database-url, not with --data-dir")
        if not database_url:
            raise ConfigError(_OF_A_DATABASE + "there is neither --database-url nor WEFT_DATABASE_URL")
    return "" if folder else database_url


def _is_typed(context: typer.Context, name: str) -> bool:
    return str(context.get_parameter_source(name)).endswith("COMMANDLINE")
