"""A release's own record (`.quoracy/release.json`), as it is read back: types and bounds of every value. Pure."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from quoracy.hosts.bounded import LATEST_S, LONGEST_WORD, Unreadable, first_of, line, word

_LONGEST_NOTE = 1000


def _word(text: object) -> object:
    return word(text, "it") if isinstance(text, str) else text


def _line(text: object) -> object:
    return line(text, "it", LONGEST_WORD) if isinstance(text, str) else text


_Word = Annotated[str, BeforeValidator(_word)]


class ReleaseRecord(BaseModel):
    """What is read of a record; that of another version of Quoracy may hold more, or less at its end."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    source: _Word
    recipe: _Word
    dependencies: _Word
    runtime: Annotated[str, BeforeValidator(_line)]
    created_s: Annotated[int, Field(ge=0, le=LATEST_S)]
    operation: _Word
    note: Annotated[str, Field(max_length=_LONGEST_NOTE)] = ""
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    health: Annotated[str, BeforeValidator(_line)] = ""


def parse_record(text: str) -> ReleaseRecord:
    """A record.

    Raises:
        Unreadable: It is something else.
    """
    try:
        return ReleaseRecord.model_validate_json(text)
    except ValidationError as error:
        raise Unreadable(first_of(error)) from None
