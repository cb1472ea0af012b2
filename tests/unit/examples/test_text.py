"""Sentences and words, as all three services see them."""

from __future__ import annotations

import pytest

from examples.document_pipeline._text import MAX_SENTENCE_WORDS, is_complete, sentences, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("It was good. it went on.", ["It was good. it went on."]),
        ("Mr. Smith met Dr. Jones. They spoke.", ["Mr. Smith met Dr. Jones.", "They spoke."]),
        ("By J. R. Smith, who wrote it. Read it.", ["By J. R. Smith, who wrote it.", "Read it."]),
        ("So did I. Then we left.", ["So did I.", "Then we left."]),
        ("It cost 3.50 pounds. 20 were sold.", ["It cost 3.50 pounds.", "20 were sold."]),
        ('He said "No." She left.', ['He said "No."', "She left."]),
        ("\u201cVillains!\u201d I shrieked. He ran.", ["\u201cVillains!\u201d I shrieked.", "He ran."]),
        ("\u201cLenore?\u201d This I said.", ["\u201cLenore?\u201d", "This I said."]),
        ("What?! Never... Perhaps.", ["What?!", "Never...", "Perhaps."]),
        ("A line\nthat goes on.\n\nAnother paragraph.", ["A line that goes on.", "Another paragraph."]),
        ("", []),
        (" \n\n \n", []),
    ],
)
def test_splits_where_a_reader_would(text: str, expected: list[str]) -> None:
    """Sentences end at their marks, not at abbreviations, initials, numbers or speech that goes on."""
    assert sentences(text) == expected


def test_leaves_headings_out() -> None:
    """A short paragraph without closing punctuation is no sentence, unless there is nothing else."""
    assert sentences("The Title\n\nThe text begins. It ends.") == ["The text begins.", "It ends."]
    assert sentences("Only a Title") == ["Only a Title"]


def test_cuts_long_sentences_at_their_clauses() -> None:
    """No piece is longer than the limit, no word is lost, and cuts fall on clauses where there are some."""
    clause = "word " * 49 + "word; "
    pieces = sentences(clause * 5 + "end.")
    assert [len(piece.split()) for piece in pieces] == [100, 100, 51]
    assert all(piece.endswith((";", ".")) for piece in pieces)

    pieces = sentences("word " * 1000)
    assert max(len(piece.split()) for piece in pieces) == MAX_SENTENCE_WORDS
    assert sum(len(piece.split()) for piece in pieces) == 1000


def test_finds_words_in_any_script() -> None:
    """Words keep their apostrophes and accents; numbers and punctuation are none."""
    assert words("Don't o\u2019er na\u00efve \u2014 42 \u0441\u043b\u043e\u0432\u043e, x_y!") == [
        "Don't",
        "o\u2019er",
        "na\u00efve",
        "\u0441\u043b\u043e\u0432\u043e",
        "x",
        "y",
    ]


def test_knows_a_complete_sentence() -> None:
    """An end mark counts through closing quotes and brackets; a comma does not end a sentence."""
    assert is_complete("Quoth the Raven \u201cNevermore.\u201d")
    assert is_complete("(So it is!)")
    assert not is_complete("of the thirteen united States of America,")
