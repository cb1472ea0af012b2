"""The CEL library without the terminal program that it imports along: that takes longer than all the rest."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

__all__ = ["cel"]


@contextmanager
def _empty(name: str) -> Iterator[None]:
    """Let an import find an empty module of a name; afterwards the true one can be imported."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = ModuleType(name)
    try:
        yield
    finally:
        del sys.modules[name]
        package, _, member = name.rpartition(".")
        vars(sys.modules.get(package)).pop(member, None)


with _empty("cel.cli"):
    import cel
