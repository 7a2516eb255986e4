"""Looks at hosts: what they answer is parsed here, and who cannot be understood is silent. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from quoracy.errors import AnswerUnreadable, QuoracyError
from quoracy.hosts.bounded import Unreadable, one_line, read
from quoracy.hosts.host import Host
from quoracy.hosts.machine import HostSilent
from quoracy.hosts.pool import HostPool

T = TypeVar("T")
LONGEST_REASON = 600


def ask(
    host: Host, script: str, parse: Callable[[bytes], T], *, what: str, timeout: float = 30.0
) -> T:
    """What a host answers to a script, parsed.

    Raises:
        AnswerUnreadable: It answers with something else.
        RemoteError: It cannot be asked.
    """
    output = host.run(script, what=what, timeout=timeout).stdout
    return understood(output, parse, what=what, host=host.name)


def understood(output: bytes, parse: Callable[[bytes], T], *, what: str, host: str) -> T:
    """What a host has printed, parsed: the one place where a wrong answer becomes silence.

    Raises:
        AnswerUnreadable: It is something else.
    """
    try:
        return read("", parse, output)
    except Unreadable as error:
        raise AnswerUnreadable(
            f"an answer cannot be read ({what}): {error}",
            where=host,
            next_step=error.next_step
            or "find out on the host why it answers so; until then it counts as silent",
        ) from error


def everywhere(
    pool: HostPool, names: Iterable[str], look: Callable[[Host], T]
) -> dict[str, T | HostSilent]:
    """What hosts say, by name, asked side by side; one that cannot be asked is silent, not left out."""
    return {
        name: HostSilent(one_line(answer.what, LONGEST_REASON), answer.next_step)
        if isinstance(answer, QuoracyError)
        else answer
        for name, answer in pool.each(look, names).items()
    }
