"""Readers for the kinds of documents: bytes in, plain text with paragraphs out."""

from __future__ import annotations

import codecs
import io
import re
from dataclasses import dataclass

from examples.document_pipeline._text import is_complete

__all__ = ["Content", "read_html", "read_pdf", "read_text"]

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)

_NO_TEXT = "script, style, noscript, template, nav, aside, footer, form, button, select, iframe, svg, canvas"
_BLOCKS = (
    "address, article, blockquote, dd, div, dl, dt, figcaption, figure, h1, h2, h3, h4, h5, h6, "
    "header, hr, li, main, ol, p, pre, section, table, td, th, tr, ul"
)
_PARAGRAPH, _LINE = "\u2029", "\u2028"
_SPACES = re.compile(r"[ \t\r\n\f\v\u00a0]+")

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_LINE_EDGES = re.compile(r"[^\S\n]*\n[^\S\n]*")
_GAPS = re.compile(r"\n{3,}")
_RUNS = re.compile(r"[^\S\n]+")


@dataclass(frozen=True, slots=True)
class Content:
    """What a document holds."""

    text: str
    """Paragraphs, with a blank line between two of them."""
    title: str = ""
    """As the document itself names it; empty when it does not."""
    language: str = ""
    """As the document itself declares it, such as `en`; empty when it does not."""
    pages: int = 1
    """How many pages; 1 for kinds without pages."""


def read_text(data: bytes) -> Content:
    """Read plain text; its first line is its title."""
    text = _tidy(_decode(data))
    return Content(text=text, title=text.partition("\n")[0])


def read_html(data: bytes) -> Content:
    """Read the main content of a web page, without navigation, scripts, styles and footers."""
    from selectolax.lexbor import LexborHTMLParser  # noqa: PLC0415 - a text needs no HTML parser

    declared = _META_CHARSET.search(data[:1024])
    tree = LexborHTMLParser(_decode(data, declared[1].decode() if declared else ""))
    title, root = tree.css_first("title"), tree.css_first("html")
    for node in tree.css(_NO_TEXT):
        node.decompose()
    main = tree.css_first("main") or tree.css_first("article") or tree.body
    if main is None:
        return Content(text="")
    for node in main.css("br"):
        node.replace_with(_LINE)
    for node in main.css(_BLOCKS):
        node.insert_before(_PARAGRAPH)
        node.insert_after(_PARAGRAPH)
    text = _SPACES.sub(" ", main.text()).replace(_LINE, "\n").replace(_PARAGRAPH, "\n\n")
    return Content(
        text=_tidy(text),
        title=" ".join(title.text().split()) if title else "",
        language=(root.attributes.get("lang") or "") if root else "",
    )


def read_pdf(data: bytes) -> Content:
    """Read the pages of a PDF, keeping the paragraphs that its layout shows.

    Raises:
        ValueError: It cannot be read: damaged or encrypted.
    """
    from pypdf import PdfReader  # noqa: PLC0415 - a text needs no PDF parser
    from pypdf.errors import PyPdfError  # noqa: PLC0415 - as above

    try:
        reader = PdfReader(io.BytesIO(data))
        pages = [_tidy(page.extract_text(extraction_mode="layout")) for page in reader.pages]
        title = (reader.metadata.title if reader.metadata else None) or ""
        language = reader.root_object.get("/Lang")
    except (PyPdfError, OSError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        # Damaged files make the parser stumble in every one of these ways.
        raise ValueError(f"{type(error).__name__}: {error}") from None
    return Content(text=_joined(pages), title=title, language=str(language or ""), pages=len(pages))


def _joined(pages: list[str]) -> str:
    """Put pages together: a sentence that runs over the edge stays one."""
    text = ""
    for page in filter(None, pages):
        text += ("\n\n" if is_complete(text) else "\n" if text else "") + page
    return text


def _decode(data: bytes, declared: str = "") -> str:
    """Decode by byte order mark, else as declared, else as UTF-8, else as windows-1252."""
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data.decode(encoding, errors="replace")
    for encoding in filter(None, (declared, "utf-8")):
        try:
            return data.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            continue
    return data.decode("windows-1252", errors="replace")


def _tidy(text: str) -> str:
    """Unify line ends, drop control characters, and keep one blank line between paragraphs."""
    text = _CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n\n"))
    text = _RUNS.sub(" ", text)
    return _GAPS.sub("\n\n", _LINE_EDGES.sub("\n", text)).strip()
