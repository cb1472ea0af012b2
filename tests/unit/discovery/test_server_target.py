"""Where a Weft server is, as people write it."""

from __future__ import annotations

import pytest

from weft.core.errors import ValidationError
from weft.discovery.resolvers import Resolvers, SourcesConfig, sources_config
from weft.discovery.server_target import parse_server
from weft.discovery.target import Target, parse_target


@pytest.mark.parametrize(
    "text", ["127.0.0.1:7420", "grpc://127.0.0.1:7420", "http://127.0.0.1:7420/api", " 127.0.0.1:7420 "]
)
def test_an_address_in_every_usual_form(text: str) -> None:
    """A scheme and a path change nothing."""
    assert parse_server(text) == "127.0.0.1:7420"


@pytest.mark.parametrize(
    "text", ["consul://weft-execution", "dns:///weft.internal:7420", "static:///a:1,b:2", "CONSUL://weft"]
)
def test_a_target_with_its_scheme(text: str) -> None:
    """It is looked up, whatever case its scheme is in."""
    assert isinstance(parse_server(text), Target)


@pytest.mark.parametrize(
    "text", ["weft", "", "https://weft:7420", "consul://", "static:///a", "kubernetes://x"]
)
def test_anything_else_is_refused(text: str) -> None:
    """A bare name too: it is no address, and who would know it is not said."""
    with pytest.raises(ValidationError) as caught:
        parse_server(text, "server")
    assert {it.field for it in caught.value.violations} == {"server"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (":::", "':::' is not of the form host:port; IPv6 stands in [ ]"),
        ("[::1:7420", "'[::1:7420' is not of the form host:port; IPv6 stands in [ ]"),
        ("127.0.0.1:x", "'127.0.0.1:x' is not of the form host:port; IPv6 stands in [ ]"),
        ("grpc://ann:hidden@weft:7420", "must not have credentials"),
        ("ann:hid/den@weft:7420", "must not have credentials"),
        ("127.0.0.1:99999", "the port of '127.0.0.1:99999' must be between 1 and 65535"),
    ],
)
def test_a_wrong_address_is_told_in_our_words(text: str, said: str) -> None:
    """And not in those of the library that splits it."""
    with pytest.raises(ValidationError) as caught:
        parse_server(text)
    assert [it.description for it in caught.value.violations] == [said]


@pytest.mark.parametrize("text", ["weft://registry", "env://registry"])
def test_the_registry_is_not_found_through_itself(text: str) -> None:
    """The fault names the variable."""
    with pytest.raises(ValidationError, match="cannot say where the registry is") as caught:
        sources_config({"WEFT_TARGET": text})
    assert caught.value.violations[0].field == "WEFT_TARGET"


async def test_a_registry_behind_a_target_needs_somebody_to_dial_it() -> None:
    """Discovery itself has no channel to several servers."""
    resolvers = Resolvers(SourcesConfig(registry="static:///127.0.0.1:1,127.0.0.1:2"))
    with pytest.raises(ValidationError, match="cannot be dialled here"):
        resolvers.resolver(parse_target("weft://orders"))
    await resolvers.close()
