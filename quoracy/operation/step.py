"""A step: one effect on one host, or on the controller. It is its name and its fields; titles are for people. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Any, ClassVar

from pydantic import TypeAdapter, ValidationError

from quoracy.errors import QuoracyError
from quoracy.hosts.bounded import first_of

INCIDENTAL = {"incidental": True}
"""Metadata of a field that holds what was seen or drawn when the plan was made: at another look it may be something
else, and the step is the same one."""


@dataclass(frozen=True, slots=True)
class Script:
    """What a step is on its host: a shell script, and the seconds that it may take."""

    text: str
    seconds: float


_KINDS: dict[str, type[Step]] = {}


@dataclass(frozen=True, slots=True)
class Step:
    """Base of all steps of all systems.

    Attributes:
        host: Name of the host; empty for the controller.
        name: What kind of step it is, for example "start-member"; one class has it.
        says: What it does, in words; `{0.field}` stands for a field.
    """

    host: str
    name: ClassVar[str] = ""
    says: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        # Called twice for a class with slots: `dataclass` makes it anew, and the one made last counts.
        if isinstance(cls.name, str) and cls.name:
            known = _KINDS.setdefault(cls.name, cls)
            assert known.__qualname__ == cls.__qualname__, f"two steps are named {cls.name}"
            _KINDS[cls.name] = cls

    @property
    def title(self) -> str:
        """What it does, in words."""
        return self.says.format(self)

    @property
    def undo(self) -> tuple[Step, ...]:
        """The steps that put back what this one changed, in order; empty when nothing changes."""
        return ()

    @property
    def canonical(self) -> str:
        """Name and fields as JSON: what digest, journal and comparisons of plans go by."""
        written = as_dict(self)
        for one in fields(self):
            if one.metadata.get("incidental"):
                del written[one.name]
        return json.dumps(written, sort_keys=True)


def as_dict(step: Step) -> dict[str, Any]:
    """Name and all fields, ready for JSON."""
    return {"name": step.name, **asdict(step)}


def steps_as_json(steps: Iterable[Step]) -> str:
    """Steps for the journal."""
    return json.dumps([as_dict(step) for step in steps])


def steps_from_json(text: str) -> tuple[Step, ...]:
    """Steps that the journal holds.

    Raises:
        QuoracyError: They are none that this version knows.
    """
    return tuple(_step(one) for one in json.loads(text))


def _step(written: dict[str, Any]) -> Step:
    kind = _KINDS.get(written["name"])
    if kind is None:
        raise _unknown(f"there is no step {written['name']!r}")
    given = {name: value for name, value in written.items() if name != "name"}
    if strange := given.keys() - {one.name for one in fields(kind)}:
        raise _unknown(f"a step {kind.name!r} has other fields than {', '.join(sorted(strange))}")
    try:
        return _reader(kind.name).validate_python(given)
    except ValidationError as error:
        raise _unknown(f"a step {kind.name!r} has other fields: {first_of(error)}") from None


def _unknown(what: str) -> QuoracyError:
    return QuoracyError(
        f"the journal cannot be read: {what}",
        next_step="another version of Quoracy has written it: use that one for what it has begun",
    )


@cache
def _reader(name: str) -> TypeAdapter[Step]:
    return TypeAdapter(_KINDS[name])
