"""Files that people write, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from weft.cli._files.definitions import read_workflows
from weft.core.errors import ValidationError

__all__ = ["faults_of"]


def faults_of(file: Path, text: str, read: Callable[[Sequence[str]], object] = read_workflows) -> list[str]:
    """Write a file, and return every fault that its reader finds."""
    file.write_text(text)
    with pytest.raises(ValidationError) as caught:
        read([str(file)])
    return [str(violation).removeprefix(f"{file}: ") for violation in caught.value.violations]
