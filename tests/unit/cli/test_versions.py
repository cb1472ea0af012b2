"""Files that say versions: read as text, and compared when they are applied."""

from __future__ import annotations

from pathlib import Path

import pytest

from weft.cli._files.definitions import read_services, read_workflows
from weft.cli._workflows.apply import changes
from weft.client import Step, Workflow
from weft.core.errors import ValidationError

FILE = """
name: pricing
steps: [{id: a, service: prices, action: price, service_version: %s}]
"""


def written(folder: Path, text: str) -> str:
    path = folder / "definition.yaml"
    path.write_text(text)
    return str(path)


def test_a_range_of_a_step(tmp_path: Path) -> None:
    """It is taken as it is written."""
    (found,) = read_workflows([written(tmp_path, FILE % '">=1.2,<2"')])
    assert found.values["steps"][0]["service_version"] == ">=1.2,<2"


def test_a_range_that_looks_like_a_number(tmp_path: Path) -> None:
    """YAML reads 1.10 as 1.1: the file must quote it, and is told so by the path."""
    with pytest.raises(ValidationError) as refused:
        read_workflows([written(tmp_path, FILE % "1.10")])
    (fault,) = refused.value.violations
    assert fault.field.endswith("steps[0].service_version")
    assert "number, not text" in fault.description


def test_another_range_is_a_change() -> None:
    """And the same one is none."""
    step = Step(id="a", service="prices", action="price", service_version="^1.4")
    current = Workflow(id="wf_1", name="pricing", steps=(step,))
    same = {"id": "a", "service": "prices", "action": "price", "service_version": "^1.4"}
    assert changes(current, {"steps": [same]}) == ()
    for other in (
        {**same, "service_version": "^2"},
        {k: v for k, v in same.items() if k != "service_version"},
    ):
        assert changes(current, {"steps": [other]}) == ("steps",)


def test_a_service_of_a_version(tmp_path: Path) -> None:
    """With its RPCs, or the gRPC services to read them from."""
    text = """
name: carts
version: 2.0.0
endpoint: grpc://127.0.0.1:1
grpc_services: [shop.v1.Carts]
actions: [{name: get, grpc_method: shop.v1.Carts/GetCart}]
"""
    (found,) = read_services([written(tmp_path, text)])
    assert found.values["version"] == "2.0.0"
    assert found.values["grpc_services"] == ["shop.v1.Carts"]
    assert found.values["actions"][0]["grpc_method"] == "shop.v1.Carts/GetCart"
