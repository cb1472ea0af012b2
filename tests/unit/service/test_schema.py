"""What schema an action gets from the types of its function."""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial, wraps
from typing import Annotated, Any, Literal, NotRequired, ParamSpec, TypeVar

import pytest
from pydantic import BaseModel, Field, RootModel
from typing_extensions import TypedDict

from weft.core.schema import compile_schema
from weft.service import ActionContext, Service
from weft.service._model import ActionDefinition

P = ParamSpec("P")
R = TypeVar("R")


class Size(enum.Enum):
    SMALL = "small"
    LARGE = "large"


class Page(BaseModel):
    number: int = Field(ge=1, description="From 1 on.")
    text: str = ""


@dataclass
class Document:
    url: str
    pages: list[Page] = field(default_factory=list)


class Query(TypedDict):
    text: str
    limit: NotRequired[int]


class Tree(BaseModel):
    """A tree."""

    name: str
    children: list[Tree] = []


def defined(function: Callable[..., Any], **options: Any) -> ActionDefinition:
    service = Service("demo")
    service.action(**options)(function)
    (action,) = service.definition.actions.values()
    return action


def test_each_parameter_is_a_property() -> None:
    """Parameters without a default are required; a default stands in the schema; nothing else is taken."""

    async def act(document_url: str, language: str = "en", *, size: Size | None = None) -> None: ...

    schema = defined(act).input.schema
    assert schema["required"] == ["document_url"]
    assert schema["properties"]["document_url"] == {"type": "string"}
    assert schema["properties"]["language"] == {"type": "string", "default": "en"}
    assert schema["additionalProperties"] is False
    assert schema["$defs"] == {"Size": {"type": "string", "enum": ["small", "large"]}}
    assert "title" not in str(schema)


def test_field_descriptions_and_bounds_are_respected() -> None:
    """``Annotated[..., Field(...)]`` reaches the schema."""

    async def act(count: Annotated[int, Field(description="How many.", ge=1, le=9, title="N")]) -> None: ...

    assert defined(act).input.schema["properties"]["count"] == {
        "description": "How many.",
        "maximum": 9,
        "minimum": 1,
        "title": "N",
        "type": "integer",
    }


def test_names_that_pydantic_reserves_are_fine() -> None:
    """A parameter may be called as it likes."""

    async def act(schema: int, model_config: str, copy: bool, _hidden: float = 1.5) -> None: ...  # noqa: FBT001 - the point

    names = defined(act).input.schema["properties"]
    assert list(names) == ["schema", "model_config", "copy", "_hidden"]


def test_an_alias_names_the_property() -> None:
    """A property may have another name than its parameter."""

    async def act(document_url: Annotated[str, Field(alias="documentUrl")]) -> None: ...

    action = defined(act)
    assert list(action.input.schema["properties"]) == ["documentUrl"]
    context = ActionContext(service="demo", action="act")
    assert action.input.arguments({"documentUrl": "x"}, context) == {"document_url": "x"}


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (Page, {"number": 3}, Page(number=3)),
        (Document, {"url": "u", "pages": [{"number": 1}]}, Document("u", [Page(number=1)])),
        (Query, {"text": "t"}, {"text": "t"}),
        (Annotated[Page, Field(description="One.")], {"number": 3}, Page(number=3)),
    ],
)
def test_a_record_alone_is_the_whole_input(kind: Any, value: dict[str, Any], expected: object) -> None:
    """One model, dataclass or TypedDict takes the input object itself."""

    async def act(request: Any, context: ActionContext) -> None: ...

    act.__annotations__.update(request=kind)
    action = defined(act)
    assert action.input.whole == "request"
    assert set(value) <= set(compile_schema(action.input.schema).properties)
    context = ActionContext(service="demo", action="act")
    assert action.input.arguments(value, context) == {"request": expected, "context": context}


def test_a_record_beside_another_parameter_is_a_property() -> None:
    """Two parameters are two properties, whatever their types."""

    async def act(page: Page, query: Query) -> None: ...

    schema = defined(act).input.schema
    assert schema["required"] == ["page", "query"]
    assert set(schema["$defs"]) == {"Page", "Query"}


def test_no_parameters_is_the_empty_object() -> None:
    """An action may take nothing."""

    async def act(context: ActionContext) -> None: ...

    action = defined(act)
    assert action.input.schema == {"type": "object", "properties": {}, "additionalProperties": False}
    assert action.input.context == "context"


def test_recursive_models_keep_their_references() -> None:
    """``$defs`` and ``$ref`` within the schema are fine."""

    async def act(tree: Tree) -> Tree:
        return tree

    action = defined(act)
    assert action.input.schema["$ref"] == "#/$defs/Tree"
    assert list(compile_schema(action.output.schema).properties) == ["name", "children"]


class Listed(RootModel[list[int]]): ...


class Table(RootModel[dict[str, int]]): ...


def test_a_root_model_is_a_property() -> None:
    """What is no record is not taken for the whole input."""

    async def act(items: Listed) -> None: ...

    assert list(defined(act).input.schema["properties"]) == ["items"]


@pytest.mark.parametrize(
    ("kind", "properties"),
    [
        (Page, {"number", "text"}),
        (Document, {"url", "pages"}),
        (Query, {"text", "limit"}),
        (Table, set()),
        (dict[str, Any], set()),
        (Mapping[str, int], set()),
        (None, set()),
        (Page | Query, set()),
    ],
)
def test_objects_are_results(kind: Any, properties: set[str]) -> None:
    """Every kind of object has an output schema of an object."""

    async def act() -> None: ...

    act.__annotations__["return"] = kind
    schema = defined(act).output.schema
    assert schema.get("type") == "object" or "anyOf" in schema
    assert set(schema.get("properties", {})) == properties


def test_the_output_schema_is_that_of_writing() -> None:
    """A field with a default is always written, so the output schema requires it."""

    async def act() -> Page:
        return Page(number=1)

    assert defined(act).output.schema["required"] == ["number", "text"]


@pytest.mark.parametrize(
    "kind", [str, int, list[Page], Page | None, Any, object, Literal["x"], Listed, tuple[int, int]]
)
def test_other_results_are_refused(kind: Any) -> None:
    """What is no object in JSON is refused at the decorator, saying what to do."""

    async def act() -> None: ...

    act.__annotations__["return"] = kind
    with pytest.raises(TypeError, match="return an object"):
        defined(act)


def test_refused_signatures() -> None:  # noqa: C901 - a table of one-line functions
    """Each parameter that has no place in an object is refused by its name."""

    async def args(*items: str) -> None: ...
    async def kwargs(**items: str) -> None: ...
    async def positional(item: str, /) -> None: ...
    async def bare(item) -> None: ...  # type: ignore[no-untyped-def] # noqa: ANN001 - the point
    async def nothing_said(item: str): ...  # type: ignore[no-untyped-def] # noqa: ANN202 - the point
    async def two(one: ActionContext, other: ActionContext) -> None: ...
    async def default(page: Page = Page(number=1)) -> None: ...  # noqa: B008 - the point
    async def opaque(item: Service) -> None: ...
    async def unwritable(item: int) -> Service: ...  # type: ignore[empty-body] # never called
    async def callback(item: Callable[[], int]) -> None: ...

    for function, message in (
        (args, r"\*items.*name each parameter"),
        (kwargs, r"\*\*items.*name each parameter"),
        (positional, "'item' is positional only"),
        (bare, "'item' needs a type annotation"),
        (nothing_said, "return type is not annotated"),
        (two, "one and other both take the ActionContext"),
        (default, "'page' takes the whole input"),
        (opaque, "parameter 'item': Unable to generate pydantic-core schema"),
        (unwritable, "the return type: Unable to generate"),
        (callback, "parameter 'item': Cannot generate a JsonSchema"),
    ):
        with pytest.raises(TypeError, match=message) as caught:
            defined(function)
        assert function.__name__ in str(caught.value)
        assert "errors.pydantic.dev" not in str(caught.value)


def test_an_unknown_annotation_is_refused() -> None:
    """A name that does not exist is named."""

    async def act(item: Missing) -> None: ...  # type: ignore[name-defined] # noqa: F821 # pyright: ignore[reportUndefinedVariable] # the point

    with pytest.raises(TypeError, match="'Missing' is not defined"):
        defined(act)


def test_a_schema_that_the_registry_would_refuse_is_refused() -> None:
    """Limits of schemas are met at the decorator, not at registration."""
    kind: Any = int
    for _ in range(40):
        kind = list[kind]

    async def act(items: Any) -> None: ...

    act.__annotations__["items"] = kind
    with pytest.raises(TypeError, match=r"'items': its JSON Schema .*deeper than 32 levels"):
        defined(act)


def test_no_functions_are_refused() -> None:
    """Only functions that return can be actions."""

    async def stream() -> AsyncIterator[int]:
        yield 1

    with pytest.raises(TypeError, match="does not yield"):
        defined(stream)
    with pytest.raises(TypeError, match="is no function"):
        defined(partial(print))


def test_local_types_and_methods_and_wrapped_functions() -> None:
    """Types of the block around, bound methods and ``functools.wraps`` all work."""

    class Local(BaseModel):
        a: int

    class Owner:
        def act(self, local: Local) -> Local:
            return local

    def traced(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def inner(*args: P.args, **kwargs: P.kwargs) -> R:
            return function(*args, **kwargs)

        return inner

    service = Service("demo")
    service.action(Owner().act)

    @service.action(name="wrapped")
    @traced
    def again(local: Local) -> Local:
        return local

    actions = service.definition.actions
    assert actions["act"].input.schema == actions["wrapped"].input.schema
    assert actions["act"].input.schema["required"] == ["a"]


def test_names_and_options() -> None:
    """The decorator's options win over what the function says."""
    service = Service("demo")

    @service.action
    async def plain() -> None:
        """Do it.

        With care.
        """

    @service.action(name="other.name", description="Mine", idempotent=True, timeout=timedelta(seconds=3))
    def other() -> None:
        """Not this."""

    first, second = service.definition.actions.values()
    assert (first.name, first.description, first.idempotent) == ("plain", "Do it.\n\nWith care.", False)
    assert (second.name, second.description, second.idempotent) == ("other.name", "Mine", True)
    assert second.timeout == timedelta(seconds=3)
    assert other() is None


def test_wrong_names_and_options() -> None:
    """Names and values are checked where they are written."""
    service = Service("demo")

    async def act() -> None: ...

    service.action(act)
    with pytest.raises(ValueError, match="has an action 'act' already"):
        service.action(act)
    with pytest.raises(ValueError, match="'no spaces' is not allowed"):
        service.action(name="no spaces")(act)
    with pytest.raises(ValueError, match="longer than zero"):
        service.action(name="b", timeout=timedelta())(act)
    with pytest.raises(ValueError, match="service name"):
        Service("Not A Label")
    with pytest.raises(ValueError, match="weight"):
        Service("demo", weight=0)


def test_what_one_call_makes_of_a_default_no_other_call_sees() -> None:
    """Python makes a default once; calls of an action are of different callers."""

    async def act(tags: list[str] = [], seen: dict[str, list[int]] = {"a": []}) -> None: ...  # noqa: B006 - the point

    action = defined(act)
    context = ActionContext(service="demo", action="act")
    first, second = (action.input.arguments({}, context) for _ in range(2))
    assert first == second == {"tags": [], "seen": {"a": []}}
    first["tags"].append("mine")
    first["seen"]["a"].append(1)
    assert second == {"tags": [], "seen": {"a": []}}
    assert action.input.arguments({"tags": ["x"]}, context) == {"tags": ["x"], "seen": {"a": []}}


def test_absent_arguments_take_the_functions_defaults() -> None:
    """The default that a function has is the one that it gets, unconverted."""

    async def act(day: date, tags: tuple[str, ...] = ("a",), note: str | None = Field(None)) -> None: ...

    action = defined(act)
    context = ActionContext(service="demo", action="act")
    assert action.input.arguments({"day": "2026-01-02"}, context) == {"day": date(2026, 1, 2), "note": None}
