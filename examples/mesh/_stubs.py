"""What protoc makes of greeter.proto, made as the program starts; most programs keep it in files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import grpc

__all__ = ["messages", "stubs"]

sys.path.insert(0, str(Path(__file__).parent))  # where the .proto is looked for
_made: Any = grpc.protos_and_services("greeter.proto")
messages, stubs = _made
