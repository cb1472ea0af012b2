"""Sentiment by lexicon: VADER on every sentence, and what they add up to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from statistics import fmean
from typing import TYPE_CHECKING, Literal

from examples.document_pipeline._text import sentences, straight

if TYPE_CHECKING:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

__all__ = ["Sentiment", "sentiment_of"]

NEUTRAL_BELOW = 0.05
"""Scores closer to zero than this are neutral: the limit that VADER's authors recommend."""


@dataclass(frozen=True, slots=True)
class Sentiment:
    """The tone of a text."""

    sentiment: Literal["positive", "neutral", "negative"]
    """The tone in one word."""
    score: float
    """From -1 (most negative) to 1 (most positive): the mean over all sentences that have a tone."""
    sentences: int
    """How many sentences were read."""
    most_positive: str
    """The most positive sentence; empty when none is."""
    most_negative: str
    """The most negative sentence; empty when none is."""


def sentiment_of(text: str) -> Sentiment:
    """Score every sentence and take the mean of those that have a tone at all."""
    found = sentences(text)
    scores = [_score(sentence) for sentence in found]
    toned = [score for score in scores if score]
    mean = round(fmean(toned), 4) if toned else 0.0
    highest, lowest = max(scores, default=0.0), min(scores, default=0.0)
    return Sentiment(
        sentiment=_in_one_word(mean),
        score=mean,
        sentences=len(found),
        most_positive=found[scores.index(highest)] if highest > 0 else "",
        most_negative=found[scores.index(lowest)] if lowest < 0 else "",
    )


def _in_one_word(score: float) -> Literal["positive", "neutral", "negative"]:
    if abs(score) < NEUTRAL_BELOW:
        return "neutral"
    return "positive" if score > 0 else "negative"


def _score(sentence: str) -> float:
    # The lexicon knows the straight apostrophe of "don't" only.
    return float(_analyzer().polarity_scores(straight(sentence))["compound"])


@cache
def _analyzer() -> SentimentIntensityAnalyzer:
    """Read the lexicon once, at the first call: a service should be up before that."""
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer  # noqa: PLC0415 - as above

    return SentimentIntensityAnalyzer()
