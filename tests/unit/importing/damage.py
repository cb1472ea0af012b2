"""Documents with something wrong in them."""

from __future__ import annotations

import copy
import random
from typing import Any

ODD: list[Any] = [
    None, 0, -1, 1.5, True, "", "$", "$..x", "States.X(", "{% $ %}",
    "${ .a", "${ | }", [], {}, [[]], {"a": 1},
    [{"a": {}}],
    "exit",
]  # fmt: skip


def damaged(document: Any, chance: random.Random) -> Any:
    """Give a copy in which up to three things are replaced or removed."""
    found = copy.deepcopy(document)
    for _ in range(chance.randint(1, 3)):
        _damage(found, chance)
    return found


def _damage(document: Any, chance: random.Random) -> None:
    places: list[tuple[Any, Any]] = []
    waiting = [document]
    while waiting:
        value = waiting.pop()
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            places.append((value, key))
            if isinstance(item, dict | list):
                waiting.append(item)
    if not places:
        return
    owner, key = chance.choice(places)
    if chance.random() < 0.2 and isinstance(owner, dict):
        del owner[key]
    else:
        owner[key] = copy.deepcopy(chance.choice(ODD))
