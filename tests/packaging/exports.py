"""What users may import: written down, so that a change of it is a decision. ``python -m`` writes it anew."""

from __future__ import annotations

import importlib
import json
import pkgutil
from pathlib import Path

SNAPSHOT = Path(__file__).with_name("exports.json")

FACADES = ("weft.client", "weft.service", "weft.discovery")
"""Their names are for users; the modules beneath are not."""

OPEN = ("weft.core", "weft.mesh")
"""Packages whose modules are public one by one."""


def public_modules() -> list[str]:
    """Return the names of every public module."""
    found = [*FACADES, "weft.client.flow", "weft.client.integration", "weft.client.records"]
    for package in OPEN:
        root = importlib.import_module(package)
        found += [
            info.name
            for info in pkgutil.walk_packages(root.__path__, f"{package}.")
            if not info.ispkg and not info.name.rpartition(".")[2].startswith("_")
        ]
    return sorted(found)


def exports() -> dict[str, list[str]]:
    """Return what each of them exports."""
    return {name: list(importlib.import_module(name).__all__) for name in public_modules()}


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(exports(), indent=1) + "\n", encoding="utf-8")
