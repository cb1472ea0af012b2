"""The provider's SDK: write functions, host them as the actions of a service.

Example::

    service = Service("text-extraction", version="1.0.0")

    @service.action
    async def extract(document_url: str, language: str = "en") -> Extracted:
        \"\"\"Extract text from a document.\"\"\"

    service.run(server="127.0.0.1:7420")
"""

from __future__ import annotations

from weft.core.errors import ActionFailedError, Code
from weft.discovery.model import Health
from weft.service._config import HostOptions
from weft.service._context import ActionContext, current_context
from weft.service._host import Host
from weft.service._pending import Pending
from weft.service._service import Service

__all__ = [
    "ActionContext",
    "ActionFailedError",
    "Code",
    "Health",
    "Host",
    "HostOptions",
    "Pending",
    "Service",
    "current_context",
]
