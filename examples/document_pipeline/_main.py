"""The command line of the runner, and the order of what it does."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from examples.document_pipeline._options import DEFAULT_PORT
from examples.document_pipeline._pidfile import PidFile
from examples.document_pipeline._place import DEFAULT_DATA_DIR, Place, RunError, choose_port, prepare
from examples.document_pipeline._processes import Processes, stop_recorded

__all__ = ["main"]

_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the pipeline, or stop one that was kept; return the exit code."""
    started = time.perf_counter()
    options = _parser().parse_args(arguments)
    pid_file = PidFile(options.data_dir.resolve() / "processes.json")
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        if options.stop:
            print(stop_recorded(pid_file))
            return 0
        return _run(options, pid_file, started)
    except RunError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted; everything is stopped", file=sys.stderr)
        return _INTERRUPTED


def _interrupt(*_: object) -> None:
    """Make SIGTERM end the run as Ctrl-C does, also where a shell has turned Ctrl-C off."""
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Run the document pipeline on every document in a folder.")
    keep = os.environ.get("KEEP", "").lower() in {"1", "true", "yes"}
    own = Path(__file__).resolve().parent / "documents"
    parser.add_argument(
        "--keep", action="store_true", default=keep, help="leave everything running (also: KEEP=1)"
    )
    parser.add_argument("--stop", action="store_true", help="stop what an earlier --keep left running")
    parser.add_argument(
        "--data-dir", type=Path, default=DEFAULT_DATA_DIR, metavar="DIR", help="default: .weft/demo"
    )
    parser.add_argument(
        "--port",
        type=port,
        default=DEFAULT_PORT,
        help=f"default: {DEFAULT_PORT}; 0 takes a free one",
    )
    parser.add_argument(
        "--documents", type=Path, default=own, metavar="DIR", help="what to read (default: the example's own)"
    )
    return parser


def port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{number} is no port: it must be from 0 to 65535")
    return number


def _run(options: argparse.Namespace, pid_file: PidFile, started: float) -> int:
    data_dir = options.data_dir.resolve()
    place = Place(
        data_dir=data_dir,
        documents=options.documents.resolve(),
        port=choose_port(options.port, data_dir, pid_file),
        started=started,
    )
    prepare(place, pid_file)
    with Processes(place, pid_file) as processes:
        processes.start_server()
        # Imported here: reading gRPC and the client takes as long as the server needs to come up.
        from examples.document_pipeline._session import run_all, try_next  # noqa: PLC0415 - as above

        succeeded = asyncio.run(run_all(place, processes))
        if options.keep and succeeded:
            processes.keep()
            try_next(place)
    return 0 if succeeded else 1
