"""Writes the JSON Schema of workflow files from the tables that read them and the comments of the contract.

``--check`` writes nothing and fails when the file differs.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

from weft.cli._files.schema_file import SCHEMA_FILE
from weft.cli._files.shapes import Field, Shape
from weft.cli._files.workflow_shape import WORKFLOW

PROTO = Path(__file__).resolve().parent.parent / "protos/weft/api/workflow/v1/workflow.proto"
_MESSAGE = re.compile(r"message (\w+) \{")
_FIELD = re.compile(r"(?:repeated |optional )?[\w.<>, ]+ (\w+) = \d+;")


def schema() -> dict[str, Any]:
    """Return the schema."""
    comments = _comments(PROTO.read_text(encoding="utf-8"))
    shapes: dict[str, Shape] = {}
    _collect(WORKFLOW, shapes)
    definitions = {name: _object(shape, comments) for name, shape in sorted(shapes.items())}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A workflow of Weft",
        **definitions.pop(WORKFLOW.name),
        "definitions": definitions,
    }


def text() -> str:
    """Return what the file should hold."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def _comments(proto: str) -> dict[tuple[str, str], str]:
    """Return what the contract says of each message (under an empty name) and of each of its fields."""
    found: dict[tuple[str, str], str] = {}
    message, lines = "", list[str]()
    for line in map(str.strip, proto.splitlines()):
        if line.startswith("//"):
            lines.append(line.removeprefix("//").strip())
            continue
        begins, field = _MESSAGE.match(line), _FIELD.match(line)
        if begins:
            message = begins[1]
        if begins or field:
            found[message, field[1] if field else ""] = " ".join(lines)
        lines = []
    return found


def _collect(shape: Shape, found: dict[str, Shape]) -> None:
    if shape.name not in found:
        found[shape.name] = shape
        for field in shape.fields.values():
            if field.shape is not None:
                _collect(field.shape, found)


def _object(shape: Shape, comments: dict[tuple[str, str], str]) -> dict[str, Any]:
    return {
        "description": comments[shape.name, ""],
        "type": "object",
        "properties": {
            name: _member(field, comments[shape.name, name]) for name, field in shape.fields.items()
        },
        "required": list(shape.required),
        "additionalProperties": False,
        **shape.rule,
    }


def _member(field: Field, comment: str) -> dict[str, Any]:
    said = {"allOf": [field.schema]} if "$ref" in field.schema else field.schema
    return {"description": comment, **said}


def main() -> int:
    """Write or check the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    if not parser.parse_args().check:
        SCHEMA_FILE.write_text(text(), encoding="utf-8")
        return 0
    if SCHEMA_FILE.read_text(encoding="utf-8") == text():
        return 0
    sys.stderr.write(f"{SCHEMA_FILE.name} is not what the tables say: run make proto\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
