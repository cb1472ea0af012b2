"""Examples of other languages, and what becomes of them.

``python -m tests.unit.importing.examples`` writes what they become anew.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from weft.cli._base.documents import read_documents
from weft.cli.importing.asl import import_asl
from weft.cli.importing.cncf import import_cncf
from weft.cli.importing.naming import service_name
from weft.cli.importing.notes import Imported
from weft.cli.importing.writing import as_yaml

HERE = Path(__file__).parent
ASL = sorted((HERE / "asl").glob("*.json"))
CNCF = sorted((HERE / "cncf").glob("*.yaml"))

LANGUAGES = {"asl": import_asl, "cncf": import_cncf}


def imported(file: Path) -> Imported:
    ((_, document),) = read_documents(str(file))
    return LANGUAGES[file.parent.name](document, service_name(file.stem.split(".")[0]), {})


def golden(file: Path) -> Path:
    return file.parent / "imported" / f"{file.stem}.yaml"


def written(file: Path) -> str:
    found = imported(file)
    return as_yaml(found.definitions, file.name, found.notes)


def read(file: Path) -> dict[str, Any]:
    ((_, document),) = read_documents(str(file))
    return document


def main() -> None:
    for file in (*ASL, *CNCF):
        golden(file).parent.mkdir(exist_ok=True)
        golden(file).write_text(written(file), encoding="utf-8")
    sys.stdout.write(f"{len(ASL)} and {len(CNCF)} examples\n")


if __name__ == "__main__":
    main()
