"""Text extraction, on the documents of the example."""

from __future__ import annotations

import codecs
from pathlib import Path

import orjson
import pytest

from examples.document_pipeline import _extract
from examples.document_pipeline._extract import Extracted, extract_document, is_supported
from weft.core.errors import ActionFailedError, Code
from weft.core.payload import MAX_PAYLOAD_BYTES

DOCUMENTS = Path(__file__).resolve().parents[3] / "examples" / "document_pipeline" / "documents"


def refusal(root: Path, path: str) -> ActionFailedError:
    with pytest.raises(ActionFailedError) as caught:
        extract_document(root, path)
    return caught.value


def extract_bytes(folder: Path, name: str, data: bytes) -> Extracted:
    (folder / name).write_bytes(data)
    return extract_document(folder, name)


def test_documents_are_of_different_kinds_and_sizes() -> None:
    """The example has at least seven documents of three kinds, from a few hundred bytes to over 100 KB."""
    files = [file for file in DOCUMENTS.iterdir() if is_supported(file)]
    sizes = sorted(file.stat().st_size for file in files)
    assert len(files) >= 7
    assert {file.suffix for file in files} == {".txt", ".html", ".pdf"}
    assert sizes[0] < 1_000
    assert sizes[-1] > 100_000


def test_every_document_names_its_source() -> None:
    """SOURCES.md lists every document, and nothing else lies in the folder."""
    sources = (DOCUMENTS / "SOURCES.md").read_text(encoding="utf-8")
    names = {file.name for file in DOCUMENTS.iterdir()} - {"SOURCES.md"}
    assert {name for name in names if f"`{name}`" not in sources} == set()


def test_reads_plain_text() -> None:
    """The text arrives unchanged, and its first line is its title."""
    document = extract_document(DOCUMENTS, "gettysburg-address.txt")
    assert document.title == "The Gettysburg Address"
    assert document.media_type == "text/plain"
    assert document.language == "en"
    assert document.pages == 1
    assert document.words == 278
    assert document.characters == len(document.text)
    assert not document.truncated
    assert document.text.endswith("November 19, 1863")


def test_reads_all_pages_of_a_pdf() -> None:
    """Every page is read, paragraphs stay apart, and sentences over a page's edge stay whole."""
    document = extract_document(DOCUMENTS, "the-tell-tale-heart.pdf")
    assert document.media_type == "application/pdf"
    assert document.title == "The Tell-Tale Heart"
    assert document.pages == 7
    assert document.words > 2_100
    paragraphs = document.text.split("\n\n")
    assert paragraphs[1] == "Edgar Allan Poe"
    assert paragraphs[2].startswith("True!\u2014nervous\u2014very, very dreadfully nervous I had been")
    assert paragraphs[-1].endswith("it is the beating of his\nhideous heart!\u201d")


def test_reads_the_content_of_a_web_page_only() -> None:
    """Navigation, scripts, styles, asides and footers are left out; headings and paragraphs stay apart."""
    document = extract_document(DOCUMENTS, "bill-of-rights.html")
    assert document.media_type == "text/html"
    assert document.title == "The Bill of Rights"
    assert document.language == "en"
    assert document.text.startswith("The Bill of Rights\n\nThe first ten amendments")
    assert document.text.endswith("reserved to the States respectively, or to the people.")
    for noise in ("font-family", "addEventListener", "catalogue", "Speeches", "JavaScript", "public domain"):
        assert noise not in document.text


def test_believes_the_declared_charset_of_a_page() -> None:
    """A page in windows-1252 keeps its dashes and quotes, and line breaks of verse stay."""
    raw = (DOCUMENTS / "the-raven.html").read_bytes()
    with pytest.raises(UnicodeDecodeError):
        raw.decode("utf-8")
    lines = extract_document(DOCUMENTS, "the-raven.html").text.splitlines()
    assert lines[5] == "Over many a quaint and curious volume of forgotten lore\u2014"
    assert lines[-1] == "Shall be lifted\u2014nevermore!"


@pytest.mark.parametrize(
    "data",
    [
        "caf\u00e9 \u2014 ol\u00e9".encode(),
        codecs.BOM_UTF8 + "caf\u00e9 \u2014 ol\u00e9".encode(),
        "caf\u00e9 \u2014 ol\u00e9".encode("utf-16"),
        "caf\u00e9 \u2014 ol\u00e9".encode("windows-1252"),
    ],
    ids=["utf-8", "utf-8 with mark", "utf-16", "windows-1252"],
)
def test_finds_the_charset_of_a_text(tmp_path: Path, data: bytes) -> None:
    """Plain text is read by its byte order mark, as UTF-8, or as windows-1252."""
    assert extract_bytes(tmp_path, "a.txt", data).text == "caf\u00e9 \u2014 ol\u00e9"


def test_unifies_line_ends_and_drops_controls(tmp_path: Path) -> None:
    """Text of any system comes out with one form of lines and without control characters."""
    assert extract_bytes(tmp_path, "a.txt", b"a\r\nb\rc\x00\n\n\n\nd \t e\n").text == "a\nb\nc\n\nd e"


def test_survives_odd_pages(tmp_path: Path) -> None:
    """A page without a body, an unknown charset and inline markup inside words do no harm."""
    assert not extract_bytes(tmp_path, "a.html", b"").text
    assert (
        extract_bytes(tmp_path, "b.html", b"<meta charset=no-such><p>a<b>b</b>c <i>d</i></p>").text == "abc d"
    )
    assert extract_bytes(tmp_path, "c.htm", b"<html lang=de><p>x").language == "de"


def test_accepts_an_absolute_path_inside_the_root() -> None:
    """A path may be absolute as long as it leads into the folder."""
    assert extract_document(DOCUMENTS, str(DOCUMENTS / "sonnet-18.txt")).title == "Sonnet 18"


@pytest.mark.parametrize(
    "path", ["../workflow.yaml", "/etc/passwd", "a/../../run.py", "../documents-2/x.txt"]
)
def test_refuses_a_path_outside_the_root(path: str) -> None:
    """What leaves the folder is refused before it is looked at, whether it exists or not."""
    error = refusal(DOCUMENTS, path)
    assert error.reason == "DOCUMENT_OUTSIDE_ROOT"
    assert error.code is Code.PERMISSION_DENIED
    assert error.metadata == {"path": path}


def test_refuses_a_link_that_leads_outside(tmp_path: Path) -> None:
    """A symbolic link is followed before the folder is checked."""
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    (root / "link.txt").symlink_to(tmp_path / "secret.txt")
    assert refusal(root, "link.txt").reason == "DOCUMENT_OUTSIDE_ROOT"


@pytest.mark.parametrize("path", ["missing.txt", "", ".", "a\x00b.txt", "x" * 5_000 + ".txt"])
def test_refuses_what_is_no_file(path: str) -> None:
    """A missing file, a folder and an impossible name are all not found."""
    error = refusal(DOCUMENTS, path)
    assert error.reason == "DOCUMENT_NOT_FOUND"
    assert error.code is Code.NOT_FOUND


def test_refuses_an_unsupported_kind() -> None:
    """A file without a reader is refused by its kind."""
    assert refusal(DOCUMENTS, "SOURCES.md").reason == "DOCUMENT_TYPE_UNSUPPORTED"


@pytest.mark.parametrize("data", [b"", b"no pdf", b"%PDF-1.7\n1 0 obj\n<<", b"%PDF-1.7\n%%EOF"])
def test_refuses_a_damaged_pdf(tmp_path: Path, data: bytes) -> None:
    """A damaged file is a failure of the document, not of the service."""
    (tmp_path / "a.pdf").write_bytes(data)
    assert refusal(tmp_path, "a.pdf").reason == "DOCUMENT_UNREADABLE"


def test_refuses_a_huge_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file over the limit is not read."""
    monkeypatch.setattr(_extract, "MAX_DOCUMENT_BYTES", 10)
    (tmp_path / "a.txt").write_bytes(b"x" * 11)
    assert refusal(tmp_path, "a.txt").reason == "DOCUMENT_TOO_LARGE"


@pytest.mark.parametrize("word", ["plain ", '"\\ ', "\u2014\u2014 "])
def test_cuts_a_text_that_no_payload_can_carry(tmp_path: Path, word: str) -> None:
    """The output fits into a payload, also when JSON makes it longer, and says that it was cut."""
    document = extract_bytes(
        tmp_path, "a.txt", (word * (2 * MAX_PAYLOAD_BYTES // len(word.encode()))).encode()
    )
    assert document.truncated
    assert 0.5 * MAX_PAYLOAD_BYTES < len(orjson.dumps(document)) < MAX_PAYLOAD_BYTES
