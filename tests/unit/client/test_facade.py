from __future__ import annotations

import dataclasses
import inspect
from datetime import timedelta

import pytest

import weft.client
from weft.client import RetryPolicies, RetryPolicy, ServiceIntegrationClient

METHODS = {
    "create_workflow": ["name", "description", "steps", "metadata"],
    "update_workflow": ["workflow_id", "name", "description", "steps", "status", "metadata"],
    "delete_workflow": ["workflow_id"],
    "get_workflow": ["workflow_id"],
    "get_workflows": ["status", "page", "per_page", "page_token"],
    "execute_workflow": ["workflow_id", "input_data", "context", "timeout"],
    "get_workflow_execution_status": ["execution_id"],
    "get_workflow_executions": ["workflow_id", "status", "page", "per_page", "page_token"],
    "register_service": ["name", "description", "endpoint", "actions", "metadata"],
    "update_service": ["service_id", "name", "description", "endpoint", "actions", "status", "metadata"],
    "deregister_service": ["service_id"],
    "get_service": ["service_id"],
    "get_services": ["status", "page", "per_page", "page_token"],
    "execute_service_action": ["service_id", "action", "input_data", "context"],
    "get_integration_health": [],
    "get_service_health": ["service_id"],
}


@pytest.mark.parametrize("method", METHODS)
def test_the_sixteen_methods_have_their_parameters(method: str) -> None:
    """Code written for the guide runs: the names, their order, and all of it async."""
    function = getattr(ServiceIntegrationClient, method)
    assert inspect.iscoroutinefunction(function)
    parameters = inspect.signature(function).parameters.values()
    positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert positional == ["self", *METHODS[method]]


def test_there_are_no_other_async_methods() -> None:
    """Sixteen, and close."""
    found = {
        name
        for name, member in inspect.getmembers(ServiceIntegrationClient, inspect.iscoroutinefunction)
        if not name.startswith("_")
    }
    assert found == {*METHODS, "close"}


def test_the_facade_has_what_it_says() -> None:
    """Every public name is there, in order."""
    names = weft.client.__all__
    assert all(hasattr(weft.client, name) for name in names)
    constants = [name for name in names if name.isupper()]
    classes = [name for name in names if name[0].isupper() and not name.isupper()]
    functions = [name for name in names if name[0].islower()]
    assert names == sorted(constants) + sorted(classes) + sorted(functions)


def test_the_retry_policies_are_those_of_the_contract() -> None:
    """Retries, first wait and longest wait by kind of call; frozen."""
    policies = RetryPolicies()

    def shape(policy: RetryPolicy) -> tuple[int, timedelta, timedelta]:
        return policy.max_retries, policy.base_delay, policy.max_delay

    half, one, two, four = (timedelta(seconds=s) for s in (0.5, 1, 2, 4))
    assert shape(policies.create) == shape(policies.update) == (3, half, four)
    assert shape(policies.delete) == (2, one, four)
    assert shape(policies.read) == (2, half, two)
    with pytest.raises(dataclasses.FrozenInstanceError):
        policies.create = policies.read  # type: ignore[misc]  # that is the point
