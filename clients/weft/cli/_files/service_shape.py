"""What the file of a service may hold."""

from __future__ import annotations

from typing import Final

from weft.cli._files.shapes import FLAG, OBJECT, SPAN, TEXT, Shape, list_of

__all__ = ["SERVICE"]

_ACTION: Final = Shape("Action", ("name",)).having(
    {
        "name": TEXT,
        "description": TEXT,
        "input_schema": OBJECT,
        "output_schema": OBJECT,
        "idempotent": FLAG,
        "timeout": SPAN,
        "grpc_method": TEXT,
        "compensation": TEXT,
    }
)

SERVICE: Final = Shape("Service", ("name",)).having(
    {
        "name": TEXT,
        "description": TEXT,
        "endpoint": TEXT,
        "actions": list_of(_ACTION.field),
        "metadata": OBJECT,
        "version": TEXT,
        "grpc_services": list_of(TEXT),
    }
)
"""A service."""
