"""SQL lives in files, as named blocks that each say what they are for.

A block begins with ``-- name: insert_service``; the comment line after it says
its purpose, and the rest is one statement.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files

__all__ = ["load_queries", "parse_queries"]

_HEADER = re.compile(r"^-- name:[ \t]*(\S*)[ \t]*$", re.MULTILINE)
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def load_queries(dialect: str) -> Mapping[str, str]:
    """Read every ``queries*.sql`` of a dialect: statements by name.

    Raises:
        ValueError: A block has no proper name, no purpose or no statement, or two share a name.
    """
    found: dict[str, str] = {}
    folder = files("weft.server.store").joinpath("sql", dialect)
    for entry in sorted(folder.iterdir(), key=lambda item: item.name):
        if entry.name.startswith("queries") and entry.name.endswith(".sql"):
            blocks = parse_queries(entry.read_text(encoding="utf-8"), entry.name)
            for name in found.keys() & blocks.keys():
                raise ValueError(f"{entry.name}: the query {name!r} exists already")
            found.update(blocks)
    return found


def parse_queries(text: str, source: str) -> dict[str, str]:
    """Cut a text into its blocks.

    Raises:
        ValueError: As ``load_queries``; the message names the source.
    """
    found: dict[str, str] = {}
    for name, block in _blocks(text, source):
        if _NAME.fullmatch(name) is None:
            raise ValueError(f"{source}: {name!r} is no name for a query")
        if name in found:
            raise ValueError(f"{source}: the query {name!r} exists already")
        found[name] = _statement(name, block, source)
    return found


def _blocks(text: str, source: str) -> Iterator[tuple[str, str]]:
    before, *parts = _HEADER.split(text)
    if before.strip():
        raise ValueError(f"{source}: something stands before the first '-- name:'")
    yield from zip(parts[::2], parts[1::2], strict=True)


def _statement(name: str, block: str, source: str) -> str:
    lines = block.strip().splitlines()
    if not lines or not lines[0].startswith("-- "):
        raise ValueError(f"{source}: the query {name!r} does not say what it is for")
    statement = "\n".join(line for line in lines if not line.lstrip().startswith("--")).strip()
    if not statement:
        raise ValueError(f"{source}: the query {name!r} has no statement")
    return statement.removesuffix(";")
