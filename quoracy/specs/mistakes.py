"""What is wrong with a document, one line per field: place, field, and what it must be."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from quoracy.errors import UsageError
from quoracy.specs.document import Document, FileKind, printed
from quoracy.specs.fields import PATTERN_WORDS, place_of

MAX_TOLD = 20
Location = tuple[Any, ...]
ModelType = TypeVar("ModelType", bound=BaseModel)
_TYPES = {
    "bool_type": "must be true or false",
    "dict_type": "must be a mapping, `key: value`",
    "int_type": "must be a whole number without quotes",
    "model_type": "must be a mapping, `key: value`",
    "string_type": "must be a text",
    "tuple_type": "must be a list, each item with `- ` before it",
}


def validated(
    model: type[ModelType],
    data: Any,
    home: str,
    wrong: Callable[[list[tuple[Location, str]]], UsageError],
    templates: frozenset[Location] = frozenset(),
) -> ModelType:
    """The data as a model.

    Args:
        home: What `~` stands for in paths on the controller.
        wrong: Makes the error of what is wrong where.
        templates: Places of values that are still to be filled in by a template.

    Raises:
        UsageError: What `wrong` has made.
    """
    found = [(place, _TEMPLATE) for place in sorted(templates, key=str)]
    try:
        made = model.model_validate(data, context={"home": home})
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            place = place_of(detail)
            if not any(place[: len(one)] == one for one in templates):
                found.append((place, _said(detail, model)))
        raise wrong(found) from None
    if found:
        raise wrong(found)
    return made


_TEMPLATE = "holds a template ({{ … }}), which nothing fills in here; write the value out"


def mistakes(
    found: list[tuple[Location, str]], document: Document, source: str, kind: FileKind
) -> UsageError:
    """The error that tells of all of them, each with its line and column."""
    lines = [_line(place, said, document, kind) for place, said in found[:MAX_TOLD]]
    if len(found) > MAX_TOLD:
        lines.append(f"and {len(found) - MAX_TOLD} more")
    return UsageError(
        f"the {kind.noun} cannot be used:\n    " + "\n    ".join(lines),
        where=source,
        next_step=f"correct what is named above; {kind.schema}",
    )


def _line(place: Location, said: str, document: Document, kind: FileKind) -> str:
    """One wrong field; its value is not repeated, as it may be a secret in the wrong place."""
    # pydantic names the key itself so, when it is the key of a mapping that is wrong.
    field = ".".join(str(part)[:60] for part in place if part != "[key]") or kind.noun
    return f"{document.place(place)}: {printed(field)}: {said}"


def _said(detail: Any, model: type[BaseModel]) -> str:
    message = str(detail["msg"]).removeprefix("Value error, ")
    match detail["type"]:
        case "extra_forbidden":
            return f"there is no such key{_hint(model, detail['loc'])}"
        case "missing":
            return "this key is required"
        case "string_pattern_mismatch":
            return f"must be {PATTERN_WORDS.get(detail['ctx']['pattern'], message)}"
        case "string_type" if isinstance(detail["input"], int | float):
            return "must be a text: put it in quotes"
        case kind:
            return _TYPES.get(kind) or printed(message)


@functools.cache
def _schema(model: type[BaseModel]) -> dict[str, Any]:
    """Made once: it takes longer than all else that is said of a mistake."""
    return model.model_json_schema()


def _hint(model: type[BaseModel], location: Location) -> str:
    """The key that was probably meant, looked up in the schema."""
    root = _schema(model)
    here = root
    for part in location[:-1]:
        inner = here.get("items", {}) if isinstance(part, int) else here["properties"][part]
        choices = (inner, *inner.get("anyOf", ()))
        found = next((one for one in choices if "$ref" in one), inner)
        here = root["$defs"][found["$ref"].rsplit("/", 1)[-1]] if "$ref" in found else inner
    known = here.get("properties", {})
    near = difflib.get_close_matches(str(location[-1])[:60], known, n=1)
    return f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known)}"
