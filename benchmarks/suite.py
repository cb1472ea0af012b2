"""All benchmarks, in the order in which they run. A new one is added here."""

from __future__ import annotations

from benchmarks.bare import BareBenchmark
from benchmarks.dispatch import DispatchBenchmark
from benchmarks.fairness import FairnessBenchmark
from benchmarks.fleet.drain import DrainBenchmark
from benchmarks.fleet.kill import KillBenchmark
from benchmarks.fleet.outage import OutageBenchmark
from benchmarks.fleet.wide import WideBenchmark
from benchmarks.fsyncs import FsyncsBenchmark
from benchmarks.growth import GrowthBenchmark
from benchmarks.harness import Benchmark
from benchmarks.lists import ListsBenchmark
from benchmarks.memory import MemoryBenchmark
from benchmarks.mesh import MeshBenchmark
from benchmarks.picks import PicksBenchmark
from benchmarks.recovery import RecoveryBenchmark
from benchmarks.retention import RetentionBenchmark
from benchmarks.rpc import RpcBenchmark
from benchmarks.stores import POSTGRES
from benchmarks.workflow import WorkflowBenchmark

__all__ = ["BENCHMARKS"]

BENCHMARKS: tuple[Benchmark, ...] = (
    RpcBenchmark(),
    MeshBenchmark(),
    PicksBenchmark(),
    FairnessBenchmark(),
    DrainBenchmark(),
    KillBenchmark(),
    OutageBenchmark(),
    WideBenchmark(),
    DispatchBenchmark(),
    WorkflowBenchmark(),
    WorkflowBenchmark(POSTGRES, goal=0.30),
    BareBenchmark(),
    FsyncsBenchmark(),
    RecoveryBenchmark(),
    RecoveryBenchmark(POSTGRES),
    GrowthBenchmark(),
    MemoryBenchmark(),
    ListsBenchmark(),
    RetentionBenchmark(),
)
