"""A map gives its items in the order in which they ended."""

from __future__ import annotations

from typing import Any

from tests.faults.bugs.seams import wrap
from weft.server.execution.history.place import Place
from weft.server.execution.rules import containers


def plant() -> None:
    def make(original: Any) -> Any:
        def output(place: Place, each: Any) -> Any:
            kept = dict(place.results)
            place.results = dict(enumerate(kept.values()))
            try:
                return original(place, each)
            finally:
                place.results = kept

        return output

    wrap(containers, "_map_output", make)
