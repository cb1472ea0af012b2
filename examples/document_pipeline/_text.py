"""What all three services know about text: paragraphs, sentences and words."""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["MAX_SENTENCE_WORDS", "is_complete", "sentences", "straight", "words"]

MAX_SENTENCE_WORDS = 120
"""Longer sentences are cut at their clauses, so that one piece stays comparable with another."""

_HEADING_WORDS = 8

_ABBREVIATIONS = {
    "mr",
    "mrs",
    "ms",
    "dr",
    "st",
    "jr",
    "sr",
    "prof",
    "rev",
    "hon",
    "gen",
    "col",
    "capt",
    "lt",
    "gov",
    "sen",
    "rep",
    "no",
    "vol",
    "art",
    "sec",
    "fig",
    "vs",
    "etc",
    "cf",
    "viz",
    "e.g",
    "i.e",
}

_PARAGRAPH = re.compile(r"\n[^\S\n]*\n\s*")
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")
_END = re.compile(r"[.!?…]['\"\u2019\u201d)\]]*$")
_CLOSED = re.compile(r"[.!?…:;,]['\"\u2019\u201d)\]]*$")
_CLAUSE = re.compile(r"(?<=[;:])\s+")
_BOUNDARY = re.compile(
    r"""
    (?P<mark>[.!?…]+)
    (?P<quote>['"\u2019\u201d)\]]*)
    [ ]+
    (?=(?P<next>['"\u2018\u201c(\[]*[A-Z0-9]\S*))   # the next sentence begins with a capital or a digit
    """,
    re.VERBOSE,
)
_OPENERS = "'\"\u2018\u201c([\u2014-"


def words(text: str) -> list[str]:
    """Return the words of a text as they stand, without numbers and punctuation."""
    return _WORD.findall(text)


def straight(text: str) -> str:
    """Replace typographic apostrophes by the one that word lists use."""
    return text.replace("\u2019", "'")


def is_complete(text: str) -> bool:
    """Tell whether a text ends as a sentence does."""
    return bool(_END.search(text))


def sentences(text: str) -> list[str]:
    """Split a text into sentences, each on one line.

    Paragraphs end at blank lines and a sentence never crosses one. Headings
    (short paragraphs without closing punctuation) are left out, unless the
    text has nothing else.
    """
    paragraphs = [joined for part in _PARAGRAPH.split(text) if (joined := " ".join(part.split()))]
    prose = [paragraph for paragraph in paragraphs if not _is_heading(paragraph)]
    return [
        piece
        for paragraph in prose or paragraphs
        for sentence in _split(paragraph)
        for piece in _limited(sentence)
    ]


def _is_heading(paragraph: str) -> bool:
    return not _CLOSED.search(paragraph) and len(words(paragraph)) < _HEADING_WORDS


def _split(paragraph: str) -> Iterator[str]:
    start = 0
    for match in _BOUNDARY.finditer(paragraph):
        if _ends_sentence(paragraph[start : match.start()], match):
            yield paragraph[start : match.end()].rstrip()
            start = match.end()
    if start < len(paragraph):
        yield paragraph[start:]


def _ends_sentence(before: str, match: re.Match[str]) -> bool:
    last = before.rsplit(maxsplit=1)[-1].lstrip(_OPENERS) if before.strip() else ""
    if match["mark"] == "." and not match["quote"]:
        is_initial = len(last) == 1 and last.isupper() and last != "I"
        return not is_initial and last.lower() not in _ABBREVIATIONS
    # “Villains!” I shrieked: the speech ends, the sentence goes on.
    return not (match["quote"] and match["mark"] != "." and match["next"] == "I")


def _limited(sentence: str) -> Iterator[str]:
    """Cut an over-long sentence, at clauses where it has them."""
    if sentence.count(" ") < MAX_SENTENCE_WORDS:
        yield sentence
        return
    piece: list[str] = []
    for clause in _CLAUSE.split(sentence):
        tokens = clause.split()
        if piece and len(piece) + len(tokens) > MAX_SENTENCE_WORDS:
            yield " ".join(piece)
            piece = []
        piece += tokens
        while len(piece) > MAX_SENTENCE_WORDS:
            yield " ".join(piece[:MAX_SENTENCE_WORDS])
            piece = piece[MAX_SENTENCE_WORDS:]
    if piece:
        yield " ".join(piece)
