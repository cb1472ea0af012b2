"""What is different between two definitions, member by member; steps are the same when their ids are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["Change", "differences"]

_NONE: Final = object()
_NAMES: Final = {"steps": "id", "finally": "id", "branches": "name"}
"""Lists whose entries have names, by their own name, with the member that is the name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that is different."""

    path: str
    """Where, such as ``steps.pay.timeout``: steps and branches by their names."""
    what: str
    """``added``, ``removed``, ``changed`` or ``reordered``."""
    before: Any = None
    """What was there."""
    after: Any = None
    """What is there."""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {"path": self.path, "what": self.what, "before": self.before, "after": self.after}


def differences(before: Mapping[str, Any], after: Mapping[str, Any], path: str = "") -> Iterator[Change]:
    """Yield what is different between two definitions in the form of ``meaning``."""
    for name in dict.fromkeys((*before, *after)):
        where = f"{path}.{name}" if path else name
        yield from _compared(name, before.get(name, _NONE), after.get(name, _NONE), where)


def _compared(name: str, before: Any, after: Any, path: str) -> Iterator[Change]:
    if before is _NONE:
        yield Change(path=path, what="added", after=after)
    elif after is _NONE:
        yield Change(path=path, what="removed", before=before)
    elif name in _NAMES and _are_named(name, before) and _are_named(name, after):
        yield from _compared_lists(_NAMES[name], before, after, path)
    elif isinstance(before, Mapping) and isinstance(after, Mapping):
        yield from differences(before, after, path)
    elif not _is_same(before, after):
        yield Change(path=path, what="changed", before=before, after=after)


def _is_same(before: Any, after: Any) -> bool:
    """Tell whether two JSON values are the same; Python takes true for 1."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return before.keys() == after.keys() and all(_is_same(before[name], after[name]) for name in before)
    if isinstance(before, list) and isinstance(after, list):
        return len(before) == len(after) and all(map(_is_same, before, after))
    return bool(before == after) and isinstance(before, bool) is isinstance(after, bool)


def _are_named(name: str, entries: Any) -> bool:
    """Tell whether a list has entries with names, no two the same; payloads may have members of any name."""
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        return False
    names = [entry.get(_NAMES[name]) for entry in entries]
    return all(isinstance(it, str) for it in names) and len(set(names)) == len(names)


def _compared_lists(key: str, before: list[Any], after: list[Any], path: str) -> Iterator[Change]:
    old, new = ({entry[key]: entry for entry in entries} for entries in (before, after))
    yield from differences(old, new, path)
    kept = ([name for name in old if name in new], [name for name in new if name in old])
    if kept[0] != kept[1]:
        yield Change(path=path, what="reordered", before=kept[0], after=kept[1])
