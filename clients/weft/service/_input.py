"""From a function's parameters to the input object of its action, and back at each call."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

import orjson
from pydantic import BaseModel, ConfigDict, RootModel, TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from weft.core import errors
from weft.core.payload import JsonObject
from weft.core.reasons import Rule
from weft.core.schema import join_path
from weft.service._context import ActionContext
from weft.service._schema import adapter_for, describes_object, first_paragraph, schema_of

__all__ = ["Input", "derive_input", "hints_of"]

_PREFIX: Final = "arg_"
"""Before each field of a made model, so that a parameter may be called ``schema`` or ``_x``."""

_RULES: Final[Mapping[str, Rule]] = {
    "missing": Rule.REQUIRED,
    "value_error": Rule.INVALID,
    "assertion_error": Rule.INVALID,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """How the arguments of one function are read from JSON."""

    adapter: TypeAdapter[Any]
    """Reads the whole input object."""
    schema: JsonObject
    """JSON Schema of the input object."""
    whole: str = ""
    """The parameter that takes the whole object; empty when each has a property."""
    always: frozenset[str] = frozenset()
    """Parameters that are passed even when the input does not name them."""
    changeable: Mapping[str, object] = field(default_factory=dict)
    """Defaults that a call can change: each call has its own, or the next one would see what it did."""
    context: str = ""
    """The parameter that takes the ``ActionContext``; empty when there is none."""

    def arguments(self, value: JsonObject, context: ActionContext) -> dict[str, Any]:
        """Return the keyword arguments of one call.

        Raises:
            weft.core.errors.ValidationError: The input does not fit; every fault
                is listed by its path below ``input``.
        """
        parsed = self._parse(value)
        found = {self.whole: parsed} if self.whole else self._members(parsed)
        return {**found, self.context: context} if self.context else found

    def _parse(self, value: JsonObject) -> Any:
        try:
            # As JSON text, because types such as bytes and dates read JSON and Python differently.
            return self.adapter.validate_json(orjson.dumps(value))
        except ValidationError as error:
            details = error.errors(include_url=False, include_context=False, include_input=False)
            raise errors.ValidationError([_violation(item, value) for item in details]) from None
        except Exception as error:  # a validator of the user's that raises what pydantic does not expect
            text = f"cannot be read: {type(error).__name__}: {error}"
            raise errors.ValidationError([errors.Violation("input", text, Rule.INVALID)]) from error

    def _members(self, parsed: BaseModel) -> dict[str, Any]:
        """Leave out what was not given, so that the function's own defaults hold."""
        names = (member.removeprefix(_PREFIX) for member in type(parsed).model_fields)
        given = parsed.model_fields_set
        found = {
            name: getattr(parsed, _PREFIX + name)
            for name in names
            if name in self.always or _PREFIX + name in given
        }
        own = {name: deepcopy(default) for name, default in self.changeable.items() if name not in found}
        return {**found, **own}


def derive_input(function: Callable[..., Any], hints: Mapping[str, Any]) -> Input:
    """Derive how a function is called from its signature.

    Raises:
        TypeError: A parameter cannot be filled from a JSON object.
    """
    name = getattr(function, "__qualname__", repr(function))
    parameters = list(inspect.signature(function).parameters.values())
    for parameter in parameters:
        _check_parameter(parameter, hints, name)
    contexts = [p.name for p in parameters if _takes_context(hints[p.name])]
    if len(contexts) > 1:
        raise TypeError(f"{name}: {' and '.join(contexts)} both take the ActionContext; keep one")
    business = [p for p in parameters if p.name not in contexts]
    context = contexts[0] if contexts else ""
    if len(business) == 1 and _is_record(hints[business[0].name]):
        return _whole_input(business[0], hints, name, context)
    return _member_input(business, hints, name, context)


def hints_of(function: Callable[..., Any], names: Mapping[str, Any]) -> dict[str, Any]:
    """Resolve the annotations of a function.

    Args:
        function: The function.
        names: What its text may name beside the globals of its module.

    Raises:
        TypeError: An annotation names what does not exist.
    """
    try:
        return get_type_hints(function, localns=dict(names), include_extras=True)
    except NameError as error:
        raise TypeError(f"{function.__qualname__}: an annotation cannot be resolved: {error}") from error


def _check_parameter(parameter: inspect.Parameter, hints: Mapping[str, Any], name: str) -> None:
    if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
        raise TypeError(f"{name}: {parameter} has no place in a schema; name each parameter")
    if parameter.kind is parameter.POSITIONAL_ONLY:
        raise TypeError(f"{name}: parameter {parameter.name!r} is positional only; inputs are passed by name")
    if parameter.name not in hints:
        raise TypeError(f"{name}: parameter {parameter.name!r} needs a type annotation")


def _takes_context(hint: object) -> bool:
    return hint is ActionContext or ActionContext in get_args(hint)


def _is_record(hint: object) -> bool:
    """Tell whether a type is a model, a dataclass or a TypedDict."""
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if not isinstance(hint, type):
        origin = get_origin(hint)
        return origin is not None and isinstance(origin, type) and _is_record(origin)
    if issubclass(hint, RootModel):
        return False
    typed_dict = issubclass(hint, dict) and hasattr(hint, "__required_keys__")
    return issubclass(hint, BaseModel) or dataclasses.is_dataclass(hint) or typed_dict


def _whole_input(parameter: inspect.Parameter, hints: Mapping[str, Any], name: str, context: str) -> Input:
    where = f"{name}: parameter {parameter.name!r}"
    if parameter.default is not parameter.empty:
        raise TypeError(f"{where} takes the whole input, so it has no default; give its fields defaults")
    adapter = adapter_for(hints[parameter.name], where)
    schema = schema_of(adapter, "validation", where)
    if not describes_object(schema):
        raise TypeError(f"{where} must be an object in JSON")
    return Input(adapter=adapter, schema=schema, whole=parameter.name, context=context)


def _member_input(
    parameters: Sequence[inspect.Parameter], hints: Mapping[str, Any], name: str, context: str
) -> Input:
    for parameter in parameters:
        where = f"{name}: parameter {parameter.name!r}"
        model = _model_of([parameter], hints, where)
        schema_of(adapter_for(model, where), "validation", where)
    adapter = adapter_for(_model_of(parameters, hints, name), name)
    return Input(
        adapter=adapter,
        schema=schema_of(adapter, "validation", name),
        always=frozenset(p.name for p in parameters if isinstance(p.default, FieldInfo) or _required(p)),
        changeable={p.name: p.default for p in parameters if isinstance(p.default, list | dict | set)},
        context=context,
    )


def _model_of(
    parameters: Sequence[inspect.Parameter], hints: Mapping[str, Any], name: str
) -> type[BaseModel]:
    """Make a model with one field for each parameter."""
    fields: dict[str, Any] = {
        _PREFIX + p.name: (hints[p.name], ... if _required(p) else p.default) for p in parameters
    }
    # An unknown name is refused, as Python refuses an unknown keyword.
    config = ConfigDict(extra="forbid", alias_generator=lambda member: member.removeprefix(_PREFIX))
    try:
        return create_model("Input", __config__=config, **fields)
    except (PydanticUserError, PydanticUndefinedAnnotation) as error:
        raise TypeError(f"{name}: {first_paragraph(error)}") from error


def _required(parameter: inspect.Parameter) -> bool:
    return parameter.default is parameter.empty


def _violation(detail: ErrorDetails, value: JsonObject) -> errors.Violation:
    rule = _RULES.get(detail["type"], Rule.SCHEMA_MISMATCH)
    missing = detail["type"] == "missing"
    return errors.Violation(_path(detail["loc"], value, missing=missing), detail["msg"], rule)


def _path(location: tuple[int | str, ...], value: Any, *, missing: bool) -> str:
    """Follow a location through the input; what is not there names a type, not a place."""
    parts: list[int | str] = []
    for number, part in enumerate(location, 1):
        members: Any = dict(enumerate(value)) if isinstance(value, list) else value
        if isinstance(members, dict) and part in members:
            value = members[part]
        elif not (missing and number == len(location)):
            continue
        parts.append(part)
    return join_path("input", parts)
