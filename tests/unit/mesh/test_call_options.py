"""How a channel calls: what would do nothing, or never end, is refused where it is said."""

from __future__ import annotations

from datetime import timedelta

import pytest

from weft.core.errors import ValidationError
from weft.mesh.call_options import CallOptions
from weft.mesh.policies.retry import RetryPolicy

SECOND = timedelta(seconds=1)


def test_every_fault_of_the_options_is_named() -> None:
    """Also a method, or a key, that no call would ever have: it would be left out without a word."""
    with pytest.raises(ValidationError) as refused:
        CallOptions(
            timeout=timedelta(),
            stream_timeout=-SECOND,
            first_answer=-SECOND,
            idempotent={"/shop.v1.Carts/GetCart", "shop.v1.Carts/PutItem"},
            hash_key="customer id",
        )
    assert [str(it) for it in refused.value.violations] == [
        "timeout: must be positive, or None",
        "stream_timeout: must be positive, or None",
        "first_answer: must not be negative",
        "idempotent: 'shop.v1.Carts/PutItem' is no full name of a method, such as /shop.v1.Carts/PutItem",
        "hash_key: 'customer id' is no key of metadata: it has letters, digits, '-', '_' and '.'",
    ]


def test_every_fault_of_a_retry_policy_is_named() -> None:
    """Numbers that no wait can be made of."""
    with pytest.raises(ValidationError) as refused:
        RetryPolicy(max_retries=-1, base_delay=-SECOND, max_delay=-SECOND, factor=0.5, jitter=2)
    assert [it.field for it in refused.value.violations] == [
        "max_retries",
        "base_delay",
        "max_delay",
        "factor",
        "jitter",
    ]


def test_what_means_something_passes() -> None:
    """No limits, and no waits."""
    options = CallOptions(timeout=None, first_answer=timedelta(), hash_key="X-Customer-Id")
    assert options.retried("/a.B/C", idempotent=True)
    RetryPolicy(max_retries=0, base_delay=timedelta(), max_delay=timedelta(), factor=1, jitter=1)
