"""Extractive summary: the sentences that carry the most frequent words of a text.

The method is SumBasic: a sentence weighs as much as its words do on average;
once it is taken, its words weigh less, so that the next one says something
else. Sentences near the beginning weigh a little more, short and very long ones
less; list entries and other pieces without an end do not count as sentences.
The same text always gives the same summary.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from examples.document_pipeline._text import is_complete, sentences, straight, words

__all__ = ["Summary", "summary_of"]

KEYWORDS = 8

_STOP_WORDS = frozenset(Path(__file__).with_name("stop_words.txt").read_text(encoding="utf-8").split())


@dataclass(frozen=True, slots=True)
class Summary:
    """A text in a few of its own sentences."""

    summary: str
    """The sentences, joined."""
    sentences: list[str]
    """The same, one by one, in the order of the text."""
    keywords: list[str]
    """The most frequent words that mean something, most frequent first."""


def summary_of(text: str, max_sentences: int = 3) -> Summary:
    """Pick the most telling sentences and keep them in the order of the text."""
    every = sentences(text)
    found = [sentence for sentence in every if is_complete(sentence)] or every
    terms = [_terms(sentence) for sentence in found]
    counts = Counter(term for sentence in terms for term in sentence)
    chosen = [found[index] for index in sorted(_choose(terms, counts, max_sentences))]
    return Summary(summary=" ".join(chosen), sentences=chosen, keywords=_keywords(counts))


def _terms(sentence: str) -> list[str]:
    lowered = (straight(word.lower()).removesuffix("'s") for word in words(sentence))
    return [word for word in lowered if len(word) > 2 and word not in _STOP_WORDS]


def _keywords(counts: Counter[str]) -> list[str]:
    # most_common keeps the order of first appearance among equals.
    return [term for term, _ in counts.most_common(KEYWORDS)]


def _choose(terms: list[list[str]], counts: Counter[str], wanted: int) -> list[int]:
    total = counts.total() or 1
    weights = {term: count / total for term, count in counts.items()}
    left = dict.fromkeys(range(len(terms)))
    chosen: list[int] = []
    while left and len(chosen) < wanted:
        best = max(left, key=lambda index: (_weight(terms[index], weights) * _position(index), -index))
        chosen.append(best)
        del left[best]
        for term in set(terms[best]):
            weights[term] **= 2
    return chosen


def _position(index: int) -> float:
    """Half as much again for the first sentence, then falling towards 1."""
    return 1 + 0.5 / (1 + index)


def _weight(terms: list[str], weights: dict[str, float]) -> float:
    """Average weight of the distinct words; short sentences count as if they were longer."""
    if not terms:
        return 0.0
    average = sum(weights[term] for term in dict.fromkeys(terms)) / max(len(terms), 8)
    return average * min(1.0, 25 / len(terms))
