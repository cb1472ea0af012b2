"""Filters made by chance."""

from __future__ import annotations

import string

from hypothesis import strategies as st

from weft.server.query.tree import And, Comparison, Literal, Not, Operator, Or, Tree, is_word

CHARS = st.characters(codec="utf-8", exclude_characters="\0")
TEXTS = st.text(CHARS, max_size=12)
WORDS = st.text(CHARS, min_size=1, max_size=12).filter(is_word)
NAMES = st.text(string.ascii_letters + "_", min_size=1, max_size=8).filter(
    lambda name: name not in {"AND", "OR", "NOT"}
)
KEYS = st.text(string.ascii_letters + string.digits + "_-", max_size=8).map(lambda rest: f"k{rest}")
FIELDS = st.builds(lambda name, keys: ".".join([name, *keys]), NAMES, st.lists(KEYS, max_size=2))
LITERALS = st.one_of(
    st.builds(lambda text, prefix: Literal(text, quoted=True, prefix=prefix), TEXTS, st.booleans()),
    st.builds(lambda text, prefix: Literal(text, prefix=prefix), WORDS, st.booleans()),
    st.just(Literal("", prefix=True)),
)


def trees(leaves: st.SearchStrategy[Tree], max_leaves: int = 12) -> st.SearchStrategy[Tree]:
    def grow(inner: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
        several = st.lists(inner, min_size=2, max_size=3).map(tuple)
        return st.one_of(st.builds(Not, inner), st.builds(And, several), st.builds(Or, several))

    return st.recursive(leaves, grow, max_leaves=max_leaves)


FORMS = trees(st.builds(Comparison, FIELDS, st.sampled_from(Operator), LITERALS))
"""Of any form, whether they make sense or not."""
