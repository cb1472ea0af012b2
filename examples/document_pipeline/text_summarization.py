"""Service text-summarization: a text in a few of its own sentences.

Start it from the root of the repository::

    python -m examples.document_pipeline.text_summarization --server 127.0.0.1:7420
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from examples.document_pipeline._options import parser
from examples.document_pipeline._summary import Summary, summary_of
from weft.service import Service

__all__ = ["service"]

DESCRIPTION = "Picks the most telling sentences of a text."

service = Service(
    "text-summarization",
    version="1.0.0",
    description=DESCRIPTION,
)


# A plain function: counting keeps a CPU busy, so it runs in a thread and the event loop stays free.
@service.action(idempotent=True)
def summarize(text: str, max_sentences: Annotated[int, Field(ge=1, le=50)] = 3) -> Summary:
    """Pick the most telling sentences and keep them in the order of the text."""
    return summary_of(text, max_sentences)


def main() -> None:
    """Serve until SIGTERM."""
    chosen = parser(DESCRIPTION).parse_args()
    service.run(server=chosen.server, listen=chosen.listen)


if __name__ == "__main__":
    main()
