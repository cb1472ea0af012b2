"""``weft server`` as the rig starts it: the same program, with failpoints to arm, or a bug planted.

The rest of the process does not know. What is to be done comes in variables of the
environment that only the rig sets:

* ``WEFT_RIG_FAILPOINTS``: a folder; a file in it named like a failpoint arms it, once.
* ``WEFT_RIG_BUG``: the name of a module of ``tests.faults.bugs``.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from pathlib import Path

from weft.cli.main import main as weft
from weft.server import failpoints

FOLDER = "WEFT_RIG_FAILPOINTS"
BUG = "WEFT_RIG_BUG"

_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


def hook(folder: Path) -> None:
    """Do to this process what the folder says, at the failpoint that it names."""

    def reached(name: str) -> None:
        order = folder / name
        if not order.exists():
            return
        action = order.read_text().strip()
        order.rename(folder / f"{name}.fired")
        os.kill(os.getpid(), _SIGNALS[action])

    failpoints.install(reached)


def main() -> None:
    if folder := os.environ.get(FOLDER):
        hook(Path(folder))
    if bug := os.environ.get(BUG):
        importlib.import_module(f"tests.faults.bugs.{bug}").plant()
    sys.argv = ["weft", "server", *sys.argv[1:]]
    weft()


if __name__ == "__main__":
    main()
