"""What a newer release would write: kinds, members and waits that this one does not know."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

import pytest

from weft.core.values import dataclass
from weft.server.execution.history.model import EventEmitted, StepScheduled
from weft.server.store import definition_codec, execution_codec

__all__ = ["NOTED", "LaterWaits", "Noted", "Prior", "forget", "know", "write_as_newer"]

NOTED: Final = "step_noted"


class LaterWaits(StrEnum):
    """What executions of the newer release wait for."""

    MOON = "MOON"


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted(EventEmitted):
    """A kind of event of the newer release; to it an ``EventEmitted`` with another name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior(StepScheduled):
    """A known kind of event with one more member, which is always written."""

    priority: str = ""


def write_as_newer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process write what the newer release writes; it still cannot read it."""
    kinds: dict[type[Any], tuple[str, str]] = dict(execution_codec._KINDS)
    kinds[Noted] = (NOTED, "data")
    kinds[Prior] = ("step_scheduled", "")
    monkeypatch.setattr(execution_codec, "_KINDS", kinds)


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process know no steps that wait: it is of the release before there were any."""
    kinds = {name: read for name, read in definition_codec._KINDS.items() if name != "wait"}
    monkeypatch.setattr(definition_codec, "_KINDS", kinds)


def know(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process read it as well: it is upgraded."""
    monkeypatch.setattr(execution_codec, "_BODIES", {**execution_codec._BODIES, NOTED: (Noted, "data")})
