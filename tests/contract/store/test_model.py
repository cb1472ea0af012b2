"""Every store does what two dictionaries would do."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.contract.store.adapters import ADAPTERS, Place
from tests.contract.store.samples import advanced, ended, execution, first_events, output, workflow
from weft.core.errors import AlreadyExistsError
from weft.core.testing import ManualClock
from weft.server.execution.history.model import Execution, ExecutionState
from weft.server.store.base import ExecutionFilter, Page, StaleWriteError, Store
from weft.server.workflow.model import Workflow

T = TypeVar("T")

names = st.sampled_from(["a", "b", "b-1", "c"])
workflow_ids = st.sampled_from(["wf_a", "wf_b"])
states = st.sampled_from([None, ExecutionState.RUNNING, ExecutionState.COMPLETED])
pages = st.builds(Page, size=st.integers(1, 4), skip=st.integers(0, 3))


class StoreMachine(RuleBasedStateMachine):
    """Does the same to a store and to dictionaries, and compares."""

    def __init__(self, adapter: str, folder: Path, place: Place) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.store: Store = self.run(ADAPTERS[adapter](folder, place, ManualClock()))
        self.run(self.store.open())
        self.workflows: dict[str, Workflow] = {}
        self.executions: dict[str, Execution] = {}

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def teardown(self) -> None:
        self.run(self.store.close())
        self.runner.close()

    @rule(name=names)
    def insert_workflow(self, name: str) -> None:
        made = workflow(name)
        if name in self.workflows:
            with pytest.raises(AlreadyExistsError):
                self.run(self.store.insert_workflow(made))
        else:
            self.workflows[name] = self.run(self.store.insert_workflow(made))

    @rule(old=names, new=names, behind=st.integers(0, 1))
    def rename_workflow(self, old: str, new: str, behind: int) -> None:
        known = self.workflows.get(old)
        if known is None:
            return
        renamed = replace(known, name=new, revision=known.revision + 1)
        expected = known.revision - behind
        if new in self.workflows and new != old:
            with pytest.raises(AlreadyExistsError):
                self.run(self.store.update_workflow(renamed, expected))
        elif behind:
            with pytest.raises(StaleWriteError):
                self.run(self.store.update_workflow(renamed, expected))
        else:
            self.run(self.store.update_workflow(renamed, expected))
            del self.workflows[old]
            self.workflows[new] = renamed

    @rule(name=names)
    def delete_workflow(self, name: str) -> None:
        known = self.workflows.pop(name, None)
        if known is not None:
            self.run(self.store.delete_workflow(known, known.revision))

    @rule(workflow_id=workflow_ids)
    def insert_execution(self, workflow_id: str) -> None:
        made = execution(workflow_id=workflow_id)
        self.run(self.store.insert_execution(made, first_events(made)))
        self.executions[made.id] = made

    @precondition(lambda self: self.executions)
    @rule(data=st.data(), last=st.booleans(), told=st.booleans())
    def append(self, data: st.DataObject, last: bool, told: bool) -> None:  # noqa: FBT001 - hypothesis names it
        known = self.executions[data.draw(st.sampled_from(sorted(self.executions)))]
        moved = ended(known) if last else advanced(known)
        work = self.store.append_events(
            moved, [output(moved.last_event)], known.last_event, before=known if told else None
        )
        if known.state.final:
            with pytest.raises(StaleWriteError):
                self.run(work)
        else:
            self.run(work)
            self.executions[known.id] = moved

    @rule(wanted_workflow=st.none() | workflow_ids, state=states, page=pages)
    def page_through_executions(
        self, wanted_workflow: str | None, state: ExecutionState | None, page: Page
    ) -> None:
        expected = [
            each
            for _, each in sorted(self.executions.items(), reverse=True)
            if wanted_workflow in {None, each.workflow_id} and state in {None, each.state}
        ]
        wanted = ExecutionFilter(workflow_id=wanted_workflow, state=state)
        skip = page.skip
        found: list[Execution] = []
        while True:
            part = self.run(self.store.list_executions(wanted, page))
            found += part.items
            assert part.total == len(expected)
            if not part.more:
                break
            page = Page(size=page.size, after=part.items[-1].id)
        assert found == expected[skip:]

    @rule(page=pages)
    def page_through_workflows(self, page: Page) -> None:
        expected = [each for _, each in sorted(self.workflows.items())][page.skip :]
        found: list[Workflow] = []
        while True:
            part = self.run(self.store.list_workflows(None, page))
            found += part.items
            assert part.total == len(self.workflows)
            if not part.more:
                break
            page = Page(size=page.size, after=part.items[-1].name)
        assert found == expected


@pytest.mark.parametrize("adapter", sorted(ADAPTERS))
def test_a_store_does_what_dictionaries_do(
    adapter: str, tmp_path_factory: pytest.TempPathFactory, place: Place
) -> None:
    """Whatever is done in whatever order, lists, pages and refusals agree."""

    class OfThisAdapter(StoreMachine):
        def __init__(self) -> None:
            super().__init__(adapter, tmp_path_factory.mktemp("store"), place)

    limits = settings(max_examples=20, stateful_step_count=25, deadline=None, database=None)
    run_state_machine_as_test(OfThisAdapter, settings=limits)
