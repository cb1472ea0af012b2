"""The three services as they register: names, schemas and refusals."""

from __future__ import annotations

import pytest

from examples.document_pipeline import sentiment_analysis, text_extraction, text_summarization
from weft.core.errors import ActionFailedError
from weft.service import Service


@pytest.mark.parametrize(
    ("service", "name", "action", "parameters"),
    [
        (text_extraction.service, "text-extraction", "extract", {"path", "language"}),
        (sentiment_analysis.service, "sentiment-analysis", "analyze", {"text", "language"}),
        (text_summarization.service, "text-summarization", "summarize", {"text", "max_sentences"}),
    ],
)
def test_every_service_has_one_typed_action(
    service: Service, name: str, action: str, parameters: set[str]
) -> None:
    """The action is described, may be repeated, and its schema names its parameters."""
    definition = service.definition
    assert definition.name == name
    assert definition.version == "1.0.0"
    assert list(definition.actions) == [action]
    found = definition.actions[action]
    assert found.description
    assert found.idempotent
    assert set(found.input.schema["properties"]) == parameters


def test_an_action_is_still_a_function() -> None:
    """A decorated function can be called as it was written."""
    assert text_extraction.extract("sonnet-18.txt").title == "Sonnet 18"
    assert text_summarization.summarize("One thing. Another.", 1).sentences
    assert sentiment_analysis.analyze("Lovely!", "en-GB").sentiment == "positive"


def test_refuses_a_language_without_a_lexicon() -> None:
    """A score by the wrong lexicon would be a lie, so there is none."""
    with pytest.raises(ActionFailedError) as caught:
        sentiment_analysis.analyze("Wie sch\u00f6n!", "de")
    assert caught.value.reason == "LANGUAGE_UNSUPPORTED"
