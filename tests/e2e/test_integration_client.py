"""``ServiceIntegrationClient``: its sixteen methods in one story, the one its guide tells."""

from __future__ import annotations

from typing import Any

import pytest

from weft.client import ResourceNotFoundError, ServiceIntegrationClient, ValidationError
from weft.service import ActionContext, Service

pytestmark = pytest.mark.e2e

EXTRACT: dict[str, Any] = {
    "name": "extract",
    "description": "Extract text from a document",
    "input_schema": {
        "type": "object",
        "properties": {
            "document_url": {"type": "string", "format": "uri", "description": "URL of the document"},
            "language": {"type": "string", "description": "Language of the document"},
        },
        "required": ["document_url"],
    },
    "output_schema": {
        "type": "object",
        "properties": {"text": {"type": "string", "description": "Extracted text"}},
        "required": ["text"],
    },
}

ANALYZE: dict[str, Any] = {
    "name": "analyze",
    "description": "Analyze sentiment of text",
    "input_schema": {
        "type": "object",
        "properties": {"text": {"type": "string", "description": "Text to analyze"}},
        "required": ["text"],
    },
    "output_schema": {
        "type": "object",
        "properties": {"sentiment": {"type": "string"}, "score": {"type": "number"}},
        "required": ["sentiment", "score"],
    },
}

STEPS: list[dict[str, Any]] = [
    {"id": "extract-text", "service": "text-extraction", "action": "extract", "next": "analyze-sentiment"},
    {"id": "analyze-sentiment", "service": "sentiment-analysis", "action": "analyze", "next": None},
]

CONTEXT = {"project_id": "456", "request_id": "req-123"}


def extraction(name: str, seen: list[dict[str, str]]) -> Service:
    service = Service(name)

    @service.action
    async def extract(document_url: str, context: ActionContext, language: str = "en") -> dict[str, str]:
        seen.append({"project_id": context.project_id, "request_id": context.request_id})
        return {"text": f"a wonderful text in {language} from {document_url}"}

    return service


def analysis() -> Service:
    service = Service("sentiment-analysis")

    @service.action
    async def analyze(text: str) -> dict[str, Any]:
        good = "wonderful" in text
        return {"sentiment": "positive" if good else "neutral", "score": 0.9 if good else 0.0}

    return service


async def test_the_story_of_the_guide(address: str) -> None:
    """Register, create, execute, look, change, clean up: in plain dicts, as the guide has it."""
    seen: list[dict[str, str]] = []
    async with (
        ServiceIntegrationClient(base_url=f"http://{address}/api", timeout=30) as client,
        extraction("text-extraction", seen).hosted() as first,
        extraction("text-extraction-v2", seen).hosted() as improved,
        analysis().hosted() as second,
    ):
        ids = await _register(client, first.address, second.address)
        workflow = await client.create_workflow(
            name="document-sentiment",
            description="Extract text from a document and analyze sentiment",
            steps=STEPS,
            metadata={"version": "1.0.0", "author": "somebody"},
        )
        result = await client.execute_workflow(
            workflow_id=workflow["id"],
            input_data={"document_url": "https://example.com/document.pdf", "language": "en"},
            context=CONTEXT,
        )
        assert result == {"sentiment": "positive", "score": 0.9}
        assert seen == [CONTEXT]
        await _look(client, workflow, ids)
        await _change(client, workflow, ids, f"grpc://{improved.address}")
        await _clean_up(client, workflow, ids)


async def _register(client: ServiceIntegrationClient, first: str, second: str) -> list[str]:
    """Services with an endpoint and no instances: what the guide registers."""
    ids = []
    for name, address, action in (
        ("text-extraction", first, EXTRACT),
        ("sentiment-analysis", second, ANALYZE),
    ):
        service = await client.register_service(
            name=name, description=name, endpoint=f"grpc://{address}", actions=[action], metadata={"v": 1}
        )
        assert (service["name"], service["status"]) == (name, "ACTIVE")
        assert service["actions"][0]["input_schema"] == action["input_schema"]
        ids.append(service["id"])
    return ids


async def _look(client: ServiceIntegrationClient, workflow: dict[str, Any], ids: list[str]) -> None:
    got = await client.get_workflow(workflow["id"])
    assert [(step["id"], step["next"]) for step in got["steps"]] == [(s["id"], s["next"]) for s in STEPS]
    workflows = await client.get_workflows(status="ACTIVE", page=1, per_page=10)
    assert (workflows["total"], workflows["pages"], len(workflows["items"])) == (1, 1, 1)
    executions = await client.get_workflow_executions(workflow["id"], status="COMPLETED")
    (execution,) = executions["items"]
    status = await client.get_workflow_execution_status(execution["id"])
    assert status["status"] == "COMPLETED"
    assert [step["status"] for step in status["steps"]] == ["COMPLETED", "COMPLETED"]
    assert (await client.get_workflow_executions(workflow["id"], page=2, per_page=10))["items"] == []
    services = await client.get_services(page=1, per_page=1)
    assert (services["total"], services["pages"]) == (2, 2)
    assert (await client.get_service(ids[0]))["name"] == "text-extraction"
    output = await client.execute_service_action(
        ids[0], "extract", {"document_url": "https://example.com/a"}, context=CONTEXT
    )
    assert output["text"].startswith("a wonderful text")
    assert (await client.get_integration_health())["status"] == "healthy"
    assert (await client.get_service_health(ids[0]))["status"] == "healthy"


async def _change(
    client: ServiceIntegrationClient, workflow: dict[str, Any], ids: list[str], endpoint: str
) -> None:
    renamed = await client.update_service(
        ids[0], name="text-extraction-v2", description="Improved", endpoint=endpoint, status="ACTIVE"
    )
    assert (renamed["id"], renamed["name"], renamed["endpoint"]) == (ids[0], "text-extraction-v2", endpoint)
    with pytest.raises(ValidationError) as caught:
        await client.update_workflow(workflow["id"], steps=[*STEPS[:1], {**STEPS[1], "service": "nobody"}])
    faults = {fault["field"] for fault in caught.value.validation_errors}
    assert "workflow.steps[1].service" in faults
    steps = [{**STEPS[0], "service": "text-extraction-v2"}, STEPS[1]]
    changed = await client.update_workflow(
        workflow["id"], name="document-sentiment-v2", steps=steps, status="ACTIVE"
    )
    assert (changed["name"], changed["version"]) == ("document-sentiment-v2", 2)
    again = await client.execute_workflow("document-sentiment-v2", {"document_url": "https://example.com/b"})
    assert again["sentiment"] == "positive"


async def _clean_up(client: ServiceIntegrationClient, workflow: dict[str, Any], ids: list[str]) -> None:
    assert (await client.delete_workflow(workflow["id"]))["success"] is True
    with pytest.raises(ResourceNotFoundError) as caught:
        await client.execute_workflow(workflow["id"], {"document_url": "https://example.com/c"})
    assert caught.value.resource_type == "workflow"
    for service_id in ids:
        assert (await client.deregister_service(service_id))["success"] is True
    assert (await client.get_services())["items"] == []
    kept = await client.get_workflow_executions(workflow["id"])
    assert kept["total"] == 2  # what ran stays readable
