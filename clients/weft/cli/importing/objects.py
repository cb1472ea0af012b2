"""Data where Weft takes an object only: inputs, outputs, results."""

from __future__ import annotations

import re
from typing import Any, Final

from weft.cli.importing.nodes import Node

__all__ = ["WRAPPED", "as_object", "moved"]

WRAPPED: Final = "result"
"""The member that holds what is no object, where an object is needed."""


def as_object(node: Node, *, wrap: bool = False) -> tuple[dict[str, Any], bool]:
    """Return a template of an object, and whether the value had to be put into a member of it.

    Args:
        node: What it is about.
        wrap: Put it into a member unless it is an object for certain; otherwise only
            what is none for certain.
    """
    template = node.template()
    if isinstance(template, dict):
        return template, False
    if node.is_object or (node.is_object is None and not wrap):
        return {"...": template}, False
    return {WRAPPED: template}, True


def moved(template: Any, old: str, new: str) -> Any:
    """Return a template in which one path is called otherwise: a step's own output is ``output``."""
    if isinstance(template, str):
        return re.sub(rf"(?<![\w.\"]){re.escape(old)}(?!\w)", new, template)
    if isinstance(template, list):
        return [moved(item, old, new) for item in template]
    if isinstance(template, dict):
        return {name: moved(item, old, new) for name, item in template.items()}
    return template
