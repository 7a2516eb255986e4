"""The kinds of values that service-config.yml holds, beside those of `quoracy.specs.fields`.

What passes here may go into a unit, a script or a path, and means one thing there.
"""

from __future__ import annotations

import re
import shlex
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from quoracy.specs.fields import Misplaced, describe, printable, within

MAX_VALUE = 10_000
OURS = ("releases", "shared", "current", "previous", "deps", ".quoracy")
"""Names in a service's directory on a host; everything else there is the flat layout's."""
MADE = ("node_modules", ".venv")
"""What the dependencies of a release are linked as."""


def _inside(value: str) -> str:
    """A path below the service's directory, spelled in one way."""
    path = PurePosixPath(printable(value))
    if path.is_absolute() or ".." in path.parts or not path.parts or path.parts[0] == ".quoracy":
        raise ValueError("must be a path inside the service, without '..'")
    return str(path)


def _words(value: str) -> str:
    """A command line that can be split into words."""
    try:
        words = shlex.split(printable(value))
    except ValueError as error:
        raise ValueError(f"cannot be split into words: {error}") from None
    if not words:
        raise ValueError("must not be empty")
    return value


def _one_line(value: Any) -> Any:
    """What can stand behind `NAME=` in a file of environment variables, and reads the same there."""
    if not isinstance(value, str | int):
        # 1.10 would become 1.1, and a list has no text.
        raise ValueError("must be a text, a whole number, true or false; put it in quotes")
    if isinstance(value, str) and len(value) > MAX_VALUE:
        raise ValueError(f"must have at most {MAX_VALUE} characters")
    if isinstance(value, int) and abs(value) >= 2**63:
        raise ValueError("is too large a number; put it in quotes")
    return printable(value) if isinstance(value, str) else value


def apart(paths: tuple[str, ...]) -> tuple[str, ...]:
    """Each is moved and linked by itself, so none may be another one or lie in one."""
    for number, path in enumerate(paths):
        for other in (one for at, one in enumerate(paths) if at != number):
            if within(path, other):
                raise Misplaced(f"{path} is named twice, or lies in {other}", (number,))
    return paths


def not_made(paths: tuple[str, ...]) -> tuple[str, ...]:
    """What is shared is not what each release brings or links for itself."""
    for number, path in enumerate(paths):
        if any(within(path, one) for one in MADE):
            raise Misplaced(f"{path} is made for each release; leave it out", (number,))
        if path.partition("/")[0] in OURS:
            raise Misplaced(f"{path} is called like a directory of ours; rename it", (number,))
    return paths


# It stands in paths, unit names and the journal.
_SERVICE_NAME = r"^[A-Za-z0-9]([A-Za-z0-9_-]{0,48}[A-Za-z0-9])?$"
ServiceName = Annotated[str, StringConstraints(pattern=_SERVICE_NAME)]
Inside = Annotated[str, StringConstraints(min_length=1, max_length=500), AfterValidator(_inside)]
Command = Annotated[str, StringConstraints(min_length=1, max_length=2000), AfterValidator(_words)]
WebPath = Annotated[str, StringConstraints(pattern=r"^/[A-Za-z0-9._~%/?=&+-]*$", max_length=500)]
VariableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")]
Variable = Annotated[
    str | int | bool, Field(union_mode="left_to_right"), BeforeValidator(_one_line)
]
Source = Annotated[str, StringConstraints(max_length=1000), AfterValidator(printable)]
Where = Literal["controller", "host"]


describe(
    {
        ServiceName: "letters, digits, '-' and '_', a letter or digit first and last, at most 50",
        WebPath: "a path that begins with '/', without spaces",
        VariableName: "the name of a variable: letters, digits and '_', no digit first",
    }
)


def is_service_name(text: str) -> bool:
    """Whether a service can be called so."""
    return re.fullmatch(_SERVICE_NAME, text) is not None
