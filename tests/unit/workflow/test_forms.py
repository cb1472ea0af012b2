"""A definition says the same in every form on the server: message, model and document at rest."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf import duration_pb2, struct_pb2
from hypothesis import HealthCheck, given, settings

from tests.support.definitions import definitions
from weft.api.common.v1 import payload_pb2
from weft.api.workflow.v1 import workflow_pb2 as pb
from weft.core.definitions import MAX_NESTING, MAX_STEPS
from weft.core.reasons import Rule
from weft.server.requests import Faults
from weft.server.store.codec import decode_workflow, encode
from weft.server.workflow import kinds
from weft.server.workflow.model import Concurrency, Definition, OnConflict, Step, Workflow
from weft.server.workflow.wire.convert import definition_from_proto, workflow_kind, workflow_to_proto

NOW = datetime(2026, 1, 1, tzinfo=UTC)
STRUCT, JSON = payload_pb2.PAYLOAD_KIND_STRUCT, payload_pb2.PAYLOAD_KIND_JSON
A_DAY = duration_pb2.Duration(seconds=86_400, nanos=1_000_000)
A_YEAR = duration_pb2.Duration(seconds=31_536_000, nanos=1_000_000)
"""Each a little more."""
examples = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def workflow(definition: Definition) -> Workflow:
    return Workflow(
        id="wf_1",
        name="w",
        definition=definition,
        create_time=NOW,
        update_time=NOW,
        version_create_time=NOW,
    )


def read(message: pb.Workflow) -> tuple[Definition, list[tuple[str, str]]]:
    faults = Faults()
    definition = definition_from_proto(message, faults)
    return definition, [(it.field, it.reason) for it in faults.found]


def faulty(**values: Any) -> list[tuple[str, str]]:
    """Return what is wrong with a workflow of one step that has these members."""
    return read(pb.Workflow(steps=[pb.Step(id="a", **values)]))[1]


def boxed(depth: int, inner: pb.Step) -> pb.Step:
    """Put a step into so many others."""
    for _ in range(depth):
        branch = pb.Branch(name="b", steps=[inner])
        inner = pb.Step(id="box", parallel=pb.ParallelStep(branches=[branch]))
    return inner


@examples
@given(definition=definitions)
def test_a_message_says_what_the_model_says(definition: Definition) -> None:
    """Shown and read again, as Struct and as JSON, over the wire, it is the same definition."""
    for kind in (STRUCT, JSON):
        shown = workflow_to_proto(workflow(definition), kind)
        arrived = pb.Workflow.FromString(shown.SerializeToString())
        assert read(arrived) == (definition, [])


@examples
@given(definition=definitions)
def test_a_document_says_what_the_model_says(definition: Definition) -> None:
    """Written and read again, it is the same definition."""
    stored = workflow(definition)
    assert decode_workflow(encode(stored)) == stored


def test_a_document_from_before_the_language_reads_as_it_did() -> None:
    """It has none of the new members, and means what it meant."""
    stored = workflow(
        Definition(steps=(Step(id="a", service="s", action="do"),), concurrency=Concurrency(limit=2))
    )
    document = json.loads(encode(stored))
    new = ("finally_steps", "defaults", "retention", "search_attributes", "labels")
    old_step = ("id", "service", "action", "next", "input", "timeout", "description")
    definition = {name: value for name, value in document["definition"].items() if name not in new}
    definition["steps"] = [{name: step[name] for name in old_step} for step in definition["steps"]]
    del definition["concurrency"]["on_conflict"]
    document["definition"] = definition
    assert decode_workflow(json.dumps(document)) == stored


def test_what_is_not_said_has_its_default() -> None:
    """An approval has two outcomes, a further execution waits for its turn."""
    definition, faults = read(
        pb.Workflow(
            steps=[pb.Step(id="ask", approval=pb.ApprovalStep(title="Well?"))],
            concurrency=pb.Concurrency(limit=1),
        )
    )
    assert faults == []
    assert definition.steps[0].does == kinds.Approval(title="Well?", outcomes=("approved", "rejected"))
    assert definition.concurrency == Concurrency(limit=1, on_conflict=OnConflict.QUEUE)


@pytest.mark.parametrize(
    ("values", "path", "rule"),
    [
        ({"at_most_once": True, "timeout": duration_pb2.Duration(seconds=86_401)}, "timeout", "OUT_OF_RANGE"),
        (
            {"signal": pb.SignalStep(name="x" * 1), "timeout": duration_pb2.Duration(seconds=31_536_001)},
            "timeout",
            "OUT_OF_RANGE",
        ),
        ({"switch": pb.SwitchStep()}, "switch.cases", "REQUIRED"),
        ({"switch": pb.SwitchStep(cases=[pb.SwitchCase(when="true")] * 101)}, "switch.cases", "TOO_MANY"),
        ({"parallel": pb.ParallelStep()}, "parallel.branches", "REQUIRED"),
        ({"loop": pb.LoopStep(max_iterations=100_001)}, "loop.max_iterations", "OUT_OF_RANGE"),
        ({"map": pb.MapStep(max_concurrency=1_001)}, "map.max_concurrency", "OUT_OF_RANGE"),
        ({"map": pb.MapStep(tolerated_failures=-2)}, "map.tolerated_failures", "OUT_OF_RANGE"),
        ({"map": pb.MapStep(workflow=pb.ChildStep())}, "map.workflow.name", "REQUIRED"),
        (
            {"map": pb.MapStep(items=struct_pb2.Value(number_value=float("nan")))},
            "map.items",
            "PAYLOAD_INVALID",
        ),
        ({"workflow": pb.ChildStep(name="w", version=-1)}, "workflow.version", "OUT_OF_RANGE"),
        ({"signal": pb.SignalStep(name="s", correlation="x" * 1_025)}, "signal.correlation", "TOO_LONG"),
        ({"approval": pb.ApprovalStep(assignees=["x"] * 101)}, "approval.assignees", "TOO_MANY"),
        ({"approval": pb.ApprovalStep(outcomes=["x" * 129])}, "approval.outcomes[0]", "TOO_LONG"),
        ({"set": payload_pb2.Payload(json=b"[1]")}, "set", "PAYLOAD_INVALID"),
        ({"emit": pb.EmitStep()}, "emit.type", "REQUIRED"),
        ({"fail": pb.FailStep()}, "fail.reason", "REQUIRED"),
        (
            {"succeed": pb.SucceedStep(result=payload_pb2.Payload(json=b"{"))},
            "succeed.result",
            "PAYLOAD_INVALID",
        ),
        ({"output": payload_pb2.Payload(json=b"nope")}, "output", "PAYLOAD_INVALID"),
        ({"compensate": pb.Compensation()}, "compensate.action", "REQUIRED"),
        ({"cache": pb.Cache()}, "cache.ttl", "REQUIRED"),
        ({"cache": pb.Cache(ttl=duration_pb2.Duration(nanos=1))}, "cache.ttl", "OUT_OF_RANGE"),
        ({"limit": pb.StepLimit(rate=-1)}, "limit.rate", "OUT_OF_RANGE"),
        ({"limit": pb.StepLimit(per=duration_pb2.Duration(seconds=3_601))}, "limit.per", "OUT_OF_RANGE"),
        ({"on_error": [pb.ErrorHandler(reasons=["X"] * 51)]}, "on_error[0].reasons", "TOO_MANY"),
        ({"on_error": [pb.ErrorHandler()] * 101}, "on_error", "TOO_MANY"),
    ],
)
def test_what_is_out_of_bounds_is_named(values: dict[str, Any], path: str, rule: str) -> None:
    """By the path of the member, and by the rule it breaks."""
    assert faulty(**values) == [(f"workflow.steps[0].{path}", rule)]


def test_unknown_enums_are_named() -> None:
    """A number that we do not know is not taken for the default."""
    handler = pb.ErrorHandler(kind=7)  # type: ignore[arg-type]
    assert faulty(on_error=[handler]) == [("workflow.steps[0].on_error[0].kind", Rule.INVALID)]
    concurrency = pb.Concurrency(limit=1, on_conflict=9)  # type: ignore[arg-type]
    assert read(pb.Workflow(concurrency=concurrency))[1] == [
        ("workflow.concurrency.on_conflict", Rule.INVALID)
    ]


def test_all_faults_are_named_at_once_wherever_they_are() -> None:
    """Inside of branches, in what runs at the end, and in what holds for all."""
    late = duration_pb2.Duration(seconds=100_000)
    body = [pb.Step(id="b"), pb.Step(id="c", timeout=late)]
    inside = pb.Step(id="p", parallel=pb.ParallelStep(branches=[pb.Branch(name="x", steps=body)]))
    last: dict[str, Any] = {"finally": [pb.Step(id="z", timeout=late)]}
    message = pb.Workflow(
        steps=[pb.Step(id="a"), inside],
        defaults=pb.StepDefaults(timeout=late),
        retention=duration_pb2.Duration(seconds=59),
        labels={"k": "v" * 64},
        search_attributes={"a": "x" * 1_025},
        **last,
    )
    assert read(message)[1] == [
        ("workflow.steps[1].parallel.branches[0].steps[1].timeout", Rule.OUT_OF_RANGE),
        ("workflow.finally[0].timeout", Rule.OUT_OF_RANGE),
        ("workflow.defaults.timeout", Rule.OUT_OF_RANGE),
        ("workflow.retention", Rule.OUT_OF_RANGE),
        ("workflow.search_attributes.a", Rule.TOO_LONG),
        ("workflow.labels.k", Rule.TOO_LONG),
    ]


def test_too_many_labels_and_attributes_are_refused() -> None:
    """At most 64, and 32."""
    many = {f"n{n}": "v" for n in range(65)}
    assert read(pb.Workflow(labels=many, search_attributes=many))[1] == [
        ("workflow.search_attributes", Rule.TOO_MANY),
        ("workflow.labels", Rule.TOO_MANY),
    ]


def test_lists_of_steps_are_at_most_so_deep() -> None:
    """The deepest that is allowed is read, one more is named, and nothing under it is looked at."""
    inner = pb.Step(id="a", service="s", action="do")
    definition, faults = read(pb.Workflow(steps=[boxed(MAX_NESTING - 1, inner)]))
    assert (len(list(definition.every_step())), faults) == (MAX_NESTING, [])
    _, faults = read(pb.Workflow(steps=[boxed(MAX_NESTING + 5, pb.Step(id="a", timeout=None))]))
    assert [rule for _, rule in faults] == [Rule.TOO_DEEP]
    assert faults[0][0].count("steps") == MAX_NESTING + 1


def test_steps_are_counted_whatever_the_depth() -> None:
    """No more than 1,000 are read, with those inside and those of ``finally``; it is said once."""
    inside = pb.Step(id="m", map=pb.MapStep(steps=[pb.Step(id="x")] * 600))
    last: dict[str, Any] = {"finally": [pb.Step(id="z")] * 400}
    definition, faults = read(pb.Workflow(steps=[inside], **last))
    assert faults == [("workflow.finally", Rule.TOO_MANY)]
    assert len(list(definition.every_step())) == MAX_STEPS


@pytest.mark.parametrize("levels", [1, 4, MAX_NESTING])
def test_deep_payloads_of_deep_steps_can_be_read_by_a_caller(levels: int) -> None:
    """Readers of protobuf stop at 100 messages in each other; JSON text is one."""
    value: dict[str, Any] = {}
    for _ in range(31):
        value = {"a": value}
    step = Step(id="a", input=value, output=value, does=kinds.Emit(type="t", data=value))
    for _ in range(levels - 1):
        branch = kinds.Branch(name="b", steps=(step,))
        step = Step(id="p", does=kinds.Parallel(branches=(branch,)))
    shown = workflow_to_proto(workflow(Definition(steps=(step,))), STRUCT)
    assert read(pb.Workflow.FromString(shown.SerializeToString()))[0].steps == (step,)


def test_the_answer_comes_in_the_kind_of_any_payload_inside() -> None:
    """Also when it is far inside, and the first one."""
    inner = pb.Step(id="a", emit=pb.EmitStep(type="t", data=payload_pb2.Payload(json=b"{}")))
    assert workflow_kind(pb.Workflow(steps=[boxed(3, inner)])) == JSON
    assert workflow_kind(pb.Workflow(steps=[boxed(3, pb.Step(id="a"))])) == STRUCT


def test_a_range_is_shown_as_it_was_said() -> None:
    """``items`` may be any JSON value."""
    for items in ([1, "${input.x}"], "${input.list}", {"from": 0, "to": "${input.n}"}, 5, None):
        definition = Definition(steps=(Step(id="a", does=kinds.Map(items=items)),))
        assert read(workflow_to_proto(workflow(definition), STRUCT)) == (definition, [])


def test_the_longest_times_hold() -> None:
    """A wait for a message may take a year, what ended is kept ten."""
    year = duration_pb2.Duration(seconds=31_536_000)
    step = pb.Step(id="a", signal=pb.SignalStep(name="paid"), timeout=year)
    definition, faults = read(pb.Workflow(steps=[step], retention=duration_pb2.Duration(seconds=315_360_000)))
    assert faults == []
    assert definition.steps[0].timeout == timedelta(days=365)
    assert definition.retention == timedelta(days=3_650)
