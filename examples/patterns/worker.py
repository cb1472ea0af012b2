"""Stands in for every action of the patterns: works for a moment, and gives what a pattern needs to go on."""

import asyncio
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from weft.service import Service

ANSWERS: dict[str, dict[str, Any]] = {
    "drain": {"litres": 0},
    "find-engines": {"engines": ["left", "right"]},
    "move": {"tons": 30},
    "pour": {"litres": 1000},
    "search-north": {"found": False},
    "search-south": {"found": True},
}
"""What some actions give; all others give nothing."""


class Anything(BaseModel):
    """Any object."""

    model_config = ConfigDict(extra="allow")


service = Service("worker", version="1.0.0")


def stand_in(name: str) -> None:
    """Add an action that does nothing, slowly."""

    @service.action(name=name)
    async def work(given: Anything) -> dict[str, Any]:
        """Work for a moment."""
        print(name, given.model_dump_json(), flush=True)
        await asyncio.sleep(0.5)
        return ANSWERS.get(name, {})


files = sorted(Path(__file__).parent.glob("*.yaml"))
for action in sorted({it for file in files for it in re.findall(r"action: ([a-z-]+)", file.read_text())}):
    stand_in(action)


if __name__ == "__main__":
    service.run(server="127.0.0.1:7420")
