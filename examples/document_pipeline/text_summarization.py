"""Service text-summarization: a text in a few of its own sentences.

Start it from the root of the repository::

    python -m examples.document_pipeline.text_summarization --server 127.0.0.1:7420
"""

from __future__ import annotations

from examples.document_pipeline._options import parser
from examples.document_pipeline._summary import Summary, summary_of

from weft.service import ActionFailedError, Code, Service

__all__ = ["service"]

MOST_SENTENCES = 50

DESCRIPTION = "Picks the most telling sentences of a text."

service = Service(
    "text-summarization",
    version="1.0.0",
    description=DESCRIPTION,
)


# A plain function: counting keeps a CPU busy, so it runs in a thread and the event loop stays free.
@service.action(idempotent=True)
def summarize(text: str, max_sentences: int = 3) -> Summary:
    """Pick the most telling sentences, 1 to 50 of them, in the order of the text."""
    if not 1 <= max_sentences <= MOST_SENTENCES:
        raise ActionFailedError(
            f"max_sentences is {max_sentences}; it must be from 1 to {MOST_SENTENCES}",
            reason="MAX_SENTENCES_OUT_OF_RANGE",
            code=Code.INVALID_ARGUMENT,
        )
    return summary_of(text, max_sentences)


def main() -> None:
    """Serve until SIGTERM."""
    chosen = parser(DESCRIPTION).parse_args()
    service.run(server=chosen.server, listen=chosen.listen)


if __name__ == "__main__":
    main()
