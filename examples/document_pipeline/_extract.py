"""From a path to the text of a document, inside one folder only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import orjson

from examples.document_pipeline._formats import Content, read_html, read_pdf, read_text
from examples.document_pipeline._text import words
from weft.core.errors import ActionFailedError, Code

__all__ = ["MAX_DOCUMENT_BYTES", "MAX_TEXT_BYTES", "Extracted", "extract_document", "is_supported"]

MAX_DOCUMENT_BYTES = 64 * 1024 * 1024
"""Larger files are refused."""

MAX_TEXT_BYTES = 900 * 1024
"""As JSON: a payload may have 1 MiB, and the other fields need some of it."""

_READERS: dict[str, tuple[str, Callable[[bytes], Content]]] = {
    ".txt": ("text/plain", read_text),
    ".html": ("text/html", read_html),
    ".htm": ("text/html", read_html),
    ".pdf": ("application/pdf", read_pdf),
}


@dataclass(frozen=True, slots=True)
class Extracted:
    """The text of a document and what is known about it."""

    text: str
    """Paragraphs, with a blank line between two of them."""
    title: str
    """The document's own title, else its file name."""
    media_type: str
    """Such as `application/pdf`."""
    language: str
    """As the document declares it, else as the caller said."""
    pages: int
    """How many pages; 1 for kinds without pages."""
    characters: int
    """Length of the text."""
    words: int
    """How many words the text has."""
    truncated: bool
    """Whether the text was too long and its end is missing."""


def is_supported(path: Path) -> bool:
    """Tell whether there is a reader for this kind of file."""
    return path.suffix.lower() in _READERS


def extract_document(root: Path, path: str, language: str = "en") -> Extracted:
    """Read a document below `root`.

    Raises:
        ActionFailedError: With the reason DOCUMENT_OUTSIDE_ROOT, DOCUMENT_NOT_FOUND,
            DOCUMENT_TYPE_UNSUPPORTED, DOCUMENT_TOO_LARGE or DOCUMENT_UNREADABLE.
    """
    file = _locate(root, path)
    if not is_supported(file):
        known = ", ".join(_READERS)
        raise _refusal(path, f"is none of {known}", "DOCUMENT_TYPE_UNSUPPORTED", Code.INVALID_ARGUMENT)
    media_type, read = _READERS[file.suffix.lower()]
    try:
        content = read(_bytes_of(file, path))
    except (OSError, ValueError) as error:
        raise _refusal(
            path, f"cannot be read: {error}", "DOCUMENT_UNREADABLE", Code.FAILED_PRECONDITION
        ) from error
    text, truncated = _capped(content.text)
    return Extracted(
        text=text,
        title=(content.title or file.stem)[:200],
        media_type=media_type,
        language=content.language[:35] or language,
        pages=content.pages,
        characters=len(text),
        words=len(words(text)),
        truncated=truncated,
    )


def _locate(root: Path, path: str) -> Path:
    """Resolve a path with all its links and refuse what leaves the root."""
    base = root.resolve()
    try:
        file = (base / path).resolve()
        found = file.is_relative_to(base) and file.is_file()
    except (OSError, ValueError, RuntimeError):  # a NUL byte, a name too long, links in a circle
        file, found = base, False
    if not file.is_relative_to(base):
        raise _refusal(
            path, "is outside the documents folder", "DOCUMENT_OUTSIDE_ROOT", Code.PERMISSION_DENIED
        )
    if not found:
        raise _refusal(path, "does not exist", "DOCUMENT_NOT_FOUND", Code.NOT_FOUND)
    return file


def _bytes_of(file: Path, path: str) -> bytes:
    size = file.stat().st_size
    if size > MAX_DOCUMENT_BYTES:
        message = f"has {size:,} bytes; the limit is {MAX_DOCUMENT_BYTES:,}"
        raise _refusal(path, message, "DOCUMENT_TOO_LARGE", Code.RESOURCE_EXHAUSTED)
    return file.read_bytes()


def _capped(text: str) -> tuple[str, bool]:
    """Shorten a text whose JSON form is over the limit, at a space."""
    kept = text
    while (size := len(orjson.dumps(kept))) > MAX_TEXT_BYTES:
        kept = kept[: int(len(kept) * MAX_TEXT_BYTES / size) - 1].rsplit(maxsplit=1)[0]
    return kept, kept != text


def _refusal(path: str, message: str, reason: str, code: Code) -> ActionFailedError:
    shown = path[:200]
    return ActionFailedError(
        f"document {shown!r} {message}", reason=reason, code=code, metadata={"path": shown}
    )
