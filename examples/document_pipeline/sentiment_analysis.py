"""Service sentiment-analysis: whether a text is positive, neutral or negative.

Start it from the root of the repository::

    python -m examples.document_pipeline.sentiment_analysis --server 127.0.0.1:7420
"""

from __future__ import annotations

from examples.document_pipeline._options import parser
from examples.document_pipeline._sentiment import Sentiment, sentiment_of
from weft.service import ActionFailedError, Code, Service

__all__ = ["service"]

DESCRIPTION = "Tells the tone of an English text, sentence by sentence, by a lexicon."

service = Service(
    "sentiment-analysis",
    version="1.0.0",
    description=DESCRIPTION,
)


# A plain function: counting keeps a CPU busy, so it runs in a thread and the event loop stays free.
@service.action(idempotent=True)
def analyze(text: str, language: str = "en") -> Sentiment:
    """Tell the tone of a text. The lexicon knows English only; other languages are refused."""
    if language.lower().partition("-")[0] != "en":
        raise ActionFailedError(
            f"there is no lexicon for the language {language!r}, only for 'en'",
            reason="LANGUAGE_UNSUPPORTED",
            code=Code.INVALID_ARGUMENT,
            metadata={"language": language},
        )
    return sentiment_of(text)


def main() -> None:
    """Serve until SIGTERM."""
    chosen = parser(DESCRIPTION).parse_args()
    service.run(server=chosen.server, listen=chosen.listen)


if __name__ == "__main__":
    main()
