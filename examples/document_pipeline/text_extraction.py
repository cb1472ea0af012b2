"""Service text-extraction: the text of a PDF, an HTML page or a plain text file.

Start it from the root of the repository::

    python -m examples.document_pipeline.text_extraction --server 127.0.0.1:7420
"""

from __future__ import annotations

from pathlib import Path

from examples.document_pipeline._extract import Extracted, extract_document
from examples.document_pipeline._options import parser
from weft.service import Service

__all__ = ["service"]

DOCUMENTS = Path(__file__).resolve().parent / "documents"

DESCRIPTION = "Reads the text of PDF, HTML and plain text documents below one folder."

service = Service(
    "text-extraction",
    version="1.0.0",
    description=DESCRIPTION,
)

_root = DOCUMENTS


# A plain function: parsing keeps a CPU busy, so it runs in a thread and the event loop stays free.
@service.action(idempotent=True)
def extract(path: str, language: str = "en") -> Extracted:
    """Read the text of a document. `path` is relative to the documents folder or absolute inside it."""
    return extract_document(_root, path, language)


def main() -> None:
    """Serve until SIGTERM."""
    global _root  # noqa: PLW0603 - set once, before the service starts
    options = parser(DESCRIPTION)
    options.add_argument("--documents", type=Path, default=DOCUMENTS, help="the only folder to read from")
    chosen = options.parse_args()
    _root = chosen.documents
    service.run(server=chosen.server, listen=chosen.listen)


if __name__ == "__main__":
    main()
