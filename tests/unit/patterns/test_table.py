"""The page about patterns says what is there, no more and no less."""

from __future__ import annotations

import importlib.util
import re

from tests.unit.execution.world import new_world
from tests.unit.patterns import test_branching, test_instances, test_states
from tests.unit.patterns.playing import FOLDER, numbers, read

PAGE = (FOLDER.parents[1] / "docs/patterns.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (\d+) \| ([^|]+) \| (yes|partly|no|\[yes\]\(([^)]+)\)) \| ([^|]+) \|$", re.MULTILINE)
ROWS = {int(number): (answer, file) for number, _, answer, file, _ in ROW.findall(PAGE)}


def test_every_pattern_has_a_row() -> None:
    """All 43, once, in order."""
    assert [int(number) for number, *_ in ROW.findall(PAGE)] == list(range(1, 44))


def test_what_is_supported_has_a_file_and_a_test() -> None:
    """And what is not has none."""
    supported = [number for number, (answer, _) in ROWS.items() if answer.startswith("[yes]")]
    assert supported == numbers()
    for number in supported:
        _, file = ROWS[number]
        assert file.startswith(f"../examples/patterns/{number:02}-")
        assert (FOLDER / file.rpartition("/")[2]).is_file()
    tested = {
        int(name[5:7])
        for module in (test_branching, test_instances, test_states)
        for name in vars(module)
        if re.match(r"test_\d\d_", name)
    }
    assert tested == set(supported)


def test_the_page_counts_right() -> None:
    """How many of the first 20, and how many of all."""
    first = sum(number <= 20 for number in numbers())
    assert f"Of the first 20, {first} are supported; of all 43, {len(numbers())}." in PAGE


async def test_the_worker_can_do_everything() -> None:
    """Every action of every file, so that each can be tried."""
    spec = importlib.util.spec_from_file_location("patterns_worker", FOLDER / "worker.py")
    assert spec is not None
    assert spec.loader is not None
    worker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(worker)
    async with new_world() as world:
        found = [
            step for number in numbers() for it in read(number, world) for step in it.definition.every_step()
        ]
    assert {step.action for step in found if step.action} == set(worker.service.definition.actions)
