"""Which of several definitions come first: those that others run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from weft.cli._files.definitions import Definition

__all__ = ["children_first", "made_before", "value_at"]


def children_first(definitions: Sequence[Definition]) -> list[Definition]:
    """Return them in an order in which each comes after those that it runs; otherwise as they stand."""
    by_name = {it.name: it for it in definitions}
    found: dict[str, Definition] = {}
    begun: set[str] = set()

    def visit(it: Definition) -> None:
        if it.name in begun:
            return
        begun.add(it.name)
        for name in _run_by(it.values):
            if name in by_name:
                visit(by_name[name])
        found[it.name] = it

    for it in definitions:
        visit(it)
    return list(found.values())


def made_before(definitions: Sequence[Definition]) -> dict[str, set[str]]:
    """Return, for each name, the names of those that are there by the time that its turn comes."""
    names = [it.name for it in children_first(definitions)]
    return {name: set(names[:at]) for at, name in enumerate(names)}


def _run_by(value: Any) -> Iterator[str]:
    """Yield the names of the workflows that steps run, and perhaps of some that they do not."""
    if isinstance(value, list):
        for item in value:
            yield from _run_by(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "workflow" and isinstance(item, dict) and isinstance(item.get("name"), str):
                yield item["name"]
            yield from _run_by(item)


def value_at(it: Definition, path: str) -> Any:
    """Return what stands at a path such as ``steps[0].workflow.name``; None when nothing does."""
    value: Any = it.values
    for part in re.findall(r"[^.\[\]]+", path):
        if isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, dict):
            value = value.get(part)
        else:
            return None
    return value
