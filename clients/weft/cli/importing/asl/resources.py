"""Which service and action a resource becomes: by rule, or by a file that says so."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from weft.cli.importing.naming import action_name, service_name

__all__ = ["Resource", "last_part", "resource_of"]

_INTEGRATION: Final = re.compile(
    r"arn:[^:]+:states:[^:]*:[^:]*:(?:aws-sdk:)?(?P<service>[^:.]+):(?P<action>[^:.]+)(?P<pattern>[.:].*)?"
)
_FUNCTION: Final = re.compile(r"arn:[^:]+:lambda:[^:]*:[^:]*:function:(?P<name>[^:]+)(?::.*)?")
_ACTIVITY: Final = re.compile(r"arn:[^:]+:states:[^:]*:[^:]*:activity:(?P<name>.+)")
_CONTEXT_NAME: Final = re.compile(r"\$\{(?P<name>[^}]+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """What a Task calls."""

    service: str
    """Name of the service."""
    action: str
    """Name of its action."""
    pattern: str = ""
    """How it is waited for: ``sync``, ``waitForTaskToken`` or nothing."""
    kind: str = ""
    """Which integration, such as ``lambda:invoke``; empty for a function called directly."""
    member: str = ""
    """Where in the action's input the state's input goes; empty: it is the input."""
    result: str = ""
    """Where in the action's output the result is; empty: it is the output."""


def resource_of(text: str, mapping: Mapping[str, Mapping[str, Any]]) -> Resource:
    """Return what a resource becomes; the mapping's keys may hold ``*``."""
    given = _given(text, mapping)
    if found := _FUNCTION.fullmatch(text):
        made = Resource(service=service_name(found["name"]), action="invoke")
    elif found := _ACTIVITY.fullmatch(text):
        made = Resource(service=service_name(found["name"]), action="run")
    elif found := _INTEGRATION.fullmatch(text):
        pattern = "waitForTaskToken" if "waitForTaskToken" in (found["pattern"] or "") else ""
        pattern = pattern or ("sync" if ".sync" in (found["pattern"] or "") else "")
        made = Resource(
            service=service_name(found["service"]),
            action=action_name(found["action"]),
            pattern=pattern,
            kind=f"{found['service']}:{found['action']}",
        )
    else:
        made = Resource(service=service_name(last_part(text)), action="invoke")
    if not given:
        return made
    return Resource(
        service=given.get("service") or made.service,
        action=given.get("action") or made.action,
        pattern=made.pattern,
        kind="" if given.get("service") else made.kind,
        member=given.get("member") or "",
        result=given.get("result") or "",
    )


def last_part(text: str) -> str:
    """Take the name out of a placeholder such as ``${OrderFunctionArn}``, or the last part of others."""
    placeholder = _CONTEXT_NAME.search(text)
    name = placeholder["name"] if placeholder else re.split(r"[:/]", text.rstrip(":/"))[-1]
    return re.sub(r"(?:Function)?Arn$", "", name) or name


def _given(text: str, mapping: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    if text in mapping:
        return mapping[text]
    return next((value for key, value in mapping.items() if fnmatchcase(text, key)), {})
