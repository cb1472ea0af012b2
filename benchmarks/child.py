"""The entry of every process that a benchmark starts: ``python -m benchmarks.child MODULE ARGUMENTS``.

It runs the module as ``python -m`` would, with two things added: the process
ends when the benchmark does, however that ends, and it can be profiled.
"""

from __future__ import annotations

import cProfile
import ctypes
import os
import runpy
import signal
import sys

PROFILE = "WEFT_BENCHMARK_PROFILE"
"""Names the file that the profile of the main thread is written to."""

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Run the module that the arguments name."""
    _end_with(int(sys.argv[1]))
    module, sys.argv = sys.argv[2], sys.argv[2:]
    target = os.environ.get(PROFILE)
    if not target:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        return
    profile = cProfile.Profile()
    profile.enable()
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        profile.disable()
        profile.dump_stats(target)


def _end_with(parent: int) -> None:
    """Ask the kernel for a SIGTERM when the parent is gone; elsewhere than on Linux, do without."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        raise SystemExit("the benchmark has ended")


if __name__ == "__main__":
    main()
