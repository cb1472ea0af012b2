"""Sentiment and summary, on the documents of the example."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from examples.document_pipeline._extract import extract_document
from examples.document_pipeline._sentiment import sentiment_of
from examples.document_pipeline._summary import summary_of

DOCUMENTS = Path(__file__).resolve().parents[3] / "examples" / "document_pipeline" / "documents"


def text_of(name: str) -> str:
    return extract_document(DOCUMENTS, name).text


def position(text: str, sentence: str) -> int:
    return re.sub(r"\s+", " ", text).index(sentence)


@pytest.mark.parametrize("name", ["psalms-of-praise.txt", "sonnet-18.txt"])
def test_finds_praise_positive(name: str) -> None:
    """Songs of praise are positive."""
    result = sentiment_of(text_of(name))
    assert result.sentiment == "positive"
    assert 0.3 < result.score <= 1
    assert result.most_positive


@pytest.mark.parametrize("name", ["the-tell-tale-heart.pdf", "the-raven.html"])
def test_finds_horror_negative(name: str) -> None:
    """Tales of murder and mourning are negative."""
    result = sentiment_of(text_of(name))
    assert result.sentiment == "negative"
    assert -1 <= result.score < -0.05
    assert result.most_negative


def test_judges_plain_words() -> None:
    """Praise is positive, blame is negative, and a fact is neither."""
    assert sentiment_of("What a wonderful, happy day!").sentiment == "positive"
    assert sentiment_of("A horrible failure. I hate it.").sentiment == "negative"
    result = sentiment_of("The table has four legs.")
    assert (result.sentiment, result.score) == ("neutral", 0.0)
    assert (result.most_positive, result.most_negative) == ("", "")


def test_reads_typographic_apostrophes() -> None:
    """A negation counts in either spelling."""
    assert sentiment_of("It isn\u2019t good.").score == sentiment_of("It isn't good.").score < 0


def test_counts_no_sentence_in_an_empty_text() -> None:
    """An empty text is neutral, and has an empty summary."""
    assert (sentiment_of("").sentences, sentiment_of("").score) == (0, 0.0)
    assert (summary_of("").summary, summary_of("").sentences, summary_of("").keywords) == ("", [], [])


@pytest.mark.parametrize("name", sorted(file.name for file in DOCUMENTS.iterdir() if file.suffix != ".md"))
def test_summarises_in_the_order_of_the_text(name: str) -> None:
    """A summary quotes the text, in its order, without a repeat."""
    text = text_of(name)
    result = summary_of(text, 3)
    places = [position(text, sentence) for sentence in result.sentences]
    assert places == sorted(set(places))
    assert 1 <= len(result.sentences) <= 3
    assert result.summary == " ".join(result.sentences)
    assert len(result.keywords) == 8


def test_gives_the_same_summary_every_time() -> None:
    """One text, one summary."""
    text = text_of("proverbs-and-ecclesiastes.txt")
    assert summary_of(text, 5) == summary_of(text, 5)


def test_takes_as_many_sentences_as_asked() -> None:
    """The limit is kept, and a short text is quoted whole."""
    text = text_of("gettysburg-address.txt")
    assert [len(summary_of(text, count).sentences) for count in (1, 2, 5)] == [1, 2, 5]
    assert summary_of("One thing. Another thing.", 9).sentences == ["One thing.", "Another thing."]


def test_names_what_a_text_is_about() -> None:
    """Keywords are the frequent words that mean something."""
    assert summary_of(text_of("the-raven.html")).keywords[:4] == ["door", "chamber", "nevermore", "raven"]
    assert "thou" not in summary_of(text_of("sonnet-18.txt")).keywords


def test_does_not_say_the_same_twice() -> None:
    """A sentence whose words are already in the summary yields to another one."""
    cats = "Cats chase mice through houses every evening."
    text = f"{cats} {cats.replace('evening', 'morning')} Dogs guard gardens against strangers."
    assert summary_of(text, 2).sentences[-1] == "Dogs guard gardens against strangers."
