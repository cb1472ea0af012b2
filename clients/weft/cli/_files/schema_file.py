"""The JSON Schema of workflow files; ``tools/schema.py`` makes it of the tables that read them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = ["SCHEMA_FILE"]

SCHEMA_FILE: Final = Path(__file__).with_name("workflow.schema.json")
"""Where it is."""
