"""Where a run takes place: its folders and its port, checked before anything starts."""

from __future__ import annotations

import os
import shlex
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path

from examples.document_pipeline._extract import is_supported
from examples.document_pipeline._pidfile import PidFile

__all__ = ["DEFAULT_DATA_DIR", "HOST", "ROOT", "Place", "RunError", "choose_port", "prepare", "stop_command"]

ROOT = Path(__file__).resolve().parents[2]
"""The root of the repository."""

DEFAULT_DATA_DIR = ROOT / ".weft" / "demo"

HOST = "127.0.0.1"

SPACE_NEEDED = 16 * 1024 * 1024
"""Bytes: a database with its log, and the log files of four processes."""


class RunError(Exception):
    """The run cannot go on; the message is one line for a person."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a run takes place."""

    data_dir: Path
    """Where the server keeps its data; logs and the list of processes lie there too."""
    documents: Path
    """Folder of the documents."""
    port: int
    """Of the server, on 127.0.0.1."""
    started: float
    """When the run began, by `time.perf_counter`."""

    @property
    def server(self) -> str:
        """Address of the server."""
        return f"{HOST}:{self.port}"

    @property
    def logs(self) -> Path:
        """Folder of the log files."""
        return self.data_dir / "logs"

    def found_documents(self) -> list[Path]:
        """Return every document there is a reader for, by name."""
        return sorted(file for file in self.documents.iterdir() if file.is_file() and is_supported(file))


def stop_command(data_dir: Path) -> str:
    """Return what to type to stop what was left running."""
    if data_dir == DEFAULT_DATA_DIR:
        return "make stop"
    return (
        f".venv/bin/python examples/document_pipeline/run.py --stop --data-dir {shlex.quote(str(data_dir))}"
    )


def choose_port(wanted: int, data_dir: Path, pid_file: PidFile) -> int:
    """Return a port that is free now; it is `wanted`, unless that is 0.

    Raises:
        RunError: It is taken.
    """
    if pid_file.alive():
        raise RunError(
            f"the pipeline is still running from an earlier start; `{stop_command(data_dir)}` ends it"
        )
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError as error:
            reason = error.strerror or error
            another = f"`make run PORT={wanted + 1 if wanted < 65535 else 0}` takes another port"
            raise RunError(f"cannot listen on {HOST}:{wanted}: {reason}; {another}") from None
        port: int = probe.getsockname()[1]
        return port


def prepare(place: Place, pid_file: PidFile) -> None:
    """Make the folders, and see whether there is something to do and room to do it.

    Raises:
        RunError: There are no documents, or the data folder cannot be used.
    """
    try:
        documents = place.found_documents()
    except OSError as error:
        raise RunError(f"cannot read the documents in {place.documents}: {error.strerror or error}") from None
    if not documents:
        raise RunError(f"there are no documents (.txt, .html, .pdf) in {place.documents}")
    try:
        place.logs.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place.data_dir) as trial:
            os.posix_fallocate(trial.fileno(), 0, SPACE_NEEDED)
        pid_file.remove()
    except OSError as error:
        raise RunError(
            f"cannot write to the data folder {place.data_dir}: {error.strerror or error}"
        ) from None
