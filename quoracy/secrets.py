"""Resolve references to secrets at their use: `env:NAME`, `file:/path`, `block:NAME`.

Specs and the database hold references only. No error here repeats what could be a secret: a text
that is not a reference may well be the secret itself.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from quoracy.errors import UsageError
from quoracy.redact import remembering

Resolver = Callable[[str], str]

_FORMS = "write env:NAME, file:/path or block:NAME"


def from_environment(name: str) -> str:
    """Return the value of an environment variable; it must be set and not empty."""
    value = os.environ.get(name, "")
    if not value:
        raise UsageError(
            "the environment variable is not set or empty",
            where=f"env:{name}",
            next_step=f"export {name} where Quoracy runs",
        )
    return value


def from_file(name: str) -> str:
    """Return a file's text without its last line break; others than owner and group have no access."""
    path, where = Path(name), f"file:{name}"
    if not path.is_absolute():
        raise UsageError("the path must be absolute", where=where, next_step="write file:/path")
    try:
        with path.open("rb") as file:
            # The opened file is asked, not the path: the path could be replaced in between.
            mode = os.fstat(file.fileno()).st_mode
            content = file.read()
    except OSError as error:
        raise UsageError(f"the secret cannot be read: {error.strerror}", where=where) from error
    if stat.S_IMODE(mode) & stat.S_IRWXO:
        raise UsageError(
            f"everyone on this machine has access to the secret (mode {stat.S_IMODE(mode):04o})",
            where=where,
            next_step=f"chmod 600 {name}",
        )
    return _decoded(content, where)


DEFAULT: Mapping[str, Resolver] = MappingProxyType(
    {"env": remembering(from_environment), "file": remembering(from_file)}
)


def resolve(reference: str, resolvers: Mapping[str, Resolver] = DEFAULT) -> str:
    """Return the secret that a reference stands for.

    Args:
        reference: `env:NAME`, `file:/path` or `block:NAME`.
        resolvers: By scheme; flows add the one for `block`, which needs the Prefect API.

    Raises:
        UsageError: The reference cannot be resolved.
    """
    scheme, _, name = reference.partition(":")
    if scheme in resolvers and name:
        return resolvers[scheme](name)
    if scheme == "block" and name:
        raise UsageError(
            "a Prefect block can only be read by a flow",
            where=reference,
            next_step="run the operation as a flow, or use env:NAME or file:/path",
        )
    raise UsageError(
        "this is not a reference to a secret (it is not shown, as it may be one)",
        next_step=_FORMS,
    )


def _decoded(content: bytes, where: str) -> str:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        # `from None`: the decoder's exception carries the content.
        raise UsageError("the secret is not UTF-8 text", where=where) from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise UsageError("the file is empty", where=where, next_step="write the secret into it")
    return text
