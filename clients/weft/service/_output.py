"""From what a function returns to the output object of its action."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError

from weft.core.errors import ExhaustedError, PreconditionError, ValidationError, Violation, WeftError
from weft.core.payload import JsonObject, dumps
from weft.core.reasons import Reason, Rule
from weft.core.schema import Schema, compile_schema
from weft.service._schema import adapter_for, describes_object, schema_of

__all__ = ["Output", "derive_output"]

_NOTHING: Final[JsonObject] = {"type": "object", "properties": {}, "additionalProperties": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """How the result of one function is written as JSON."""

    schema: JsonObject
    """JSON Schema of the output object."""
    adapter: TypeAdapter[Any] | None
    """Writes the result; none when the function returns nothing."""
    compiled: Schema
    """Checks the result."""

    def dump(self, result: object) -> bytes:
        """Return the result as JSON text.

        Raises:
            ExhaustedError: It is too large.
            PreconditionError: It is not what the function promised, or no JSON.
        """
        try:
            value = self._plain(result)
            data = dumps(value, "output")
            if b"null" in data:
                self._check_finite(result)
        except ValidationError as error:
            if any(v.reason == Rule.PAYLOAD_TOO_LARGE for v in error.violations):
                raise ExhaustedError(error.message, reason=Reason.ACTION_OUTPUT_TOO_LARGE) from error
            raise _invalid(error.message, error.violations) from error
        except PydanticSerializationError as error:
            raise self._misfit(result, error) from error
        except Exception as error:  # serializers are the user's code and may raise anything
            raise _invalid(f"output cannot be written as JSON: {error}") from error
        violations = self.compiled.violations(value, "output")
        if violations:
            raise _invalid("; ".join(str(v) for v in violations[:5]), violations)
        return data

    def _plain(self, result: object) -> JsonObject:
        if self.adapter is None:
            if result is not None:
                raise TypeError(f"the action returned {type(result).__name__}, but declares None")
            return {}
        value = self.adapter.dump_python(result, mode="json", by_alias=True, warnings="error")
        if not isinstance(value, dict):
            raise TypeError(f"the action returned {type(result).__name__}, which is no object")
        return value

    def _misfit(self, result: object, error: PydanticSerializationError) -> WeftError:
        """Say of a result of other types than declared where they are, as for any output."""
        try:
            loose = self.adapter.dump_python(result, mode="json", by_alias=True, warnings="none")  # type: ignore[union-attr] # only an adapter raises this
            violations = self.compiled.violations(loose, "output")
        except Exception:  # what cannot be written at all is said below
            violations = []
        if not violations:
            return _invalid(_MISFIT.sub(_type_fault, str(error)).removeprefix(_WARNINGS))
        return _invalid("; ".join(str(v) for v in violations[:5]), violations)

    def _check_finite(self, result: object) -> None:
        """Refuse NaN and infinities, some of which pydantic writes as null."""
        if self.adapter is not None and _holds_not_finite(self.adapter.dump_python(result, warnings="none")):
            raise ValueError("NaN and infinities have no JSON form")


def derive_output(function: Callable[..., Any], hints: Mapping[str, Any]) -> Output:
    """Derive the output of a function from its return annotation.

    Raises:
        TypeError: There is none, or it is no object in JSON.
    """
    where = f"{function.__qualname__}: the return type"
    if "return" not in hints:
        raise TypeError(f"{where} is not annotated; annotate it with the object that is returned, or None")
    annotation = hints["return"]
    if annotation is type(None):
        return Output(schema=_NOTHING, adapter=None, compiled=compile_schema(_NOTHING))
    adapter = adapter_for(annotation, where)
    schema = schema_of(adapter, "serialization", where)
    if not describes_object(schema):
        raise TypeError(
            f"{where} is no object in JSON; return an object: a model, a dataclass, a TypedDict or a dict"
        )
    return Output(schema=schema, adapter=adapter, compiled=compile_schema(schema))


def _invalid(message: str, violations: tuple[Violation, ...] | list[Violation] = ()) -> WeftError:
    return PreconditionError(message, reason=Reason.ACTION_OUTPUT_INVALID, violations=violations)


_WARNINGS: Final = "Pydantic serializer warnings:\n  "
_MISFIT: Final = re.compile(
    r"\w+\(Expected `(?P<wanted>[^`]*)`.*?"
    r"\[(?:field_name='(?P<field>[^']*)', )?input_value=.*?, input_type=(?P<given>\w+)\]\)",
    re.DOTALL,
)
"""How pydantic says that a value is of another type than declared."""


def _type_fault(found: re.Match[str]) -> str:
    field = f"output.{found['field']}" if found["field"] else "output"
    return f"{field}: is of type {found['given']}, not {found['wanted']}"


def _holds_not_finite(value: object) -> bool:
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, float) and not math.isfinite(item):
            return True
        if isinstance(item, Mapping):
            pending.extend(item.values())
        elif isinstance(item, list | tuple | set | frozenset):
            pending.extend(item)
    return False
