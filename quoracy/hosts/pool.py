"""The hosts of a cluster, each with one connection that the whole process shares."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

from quoracy.aside import side_by_side
from quoracy.errors import QuoracyError, UsageError
from quoracy.hosts.host import Host
from quoracy.hosts.targets import SshTarget

T = TypeVar("T")

CONNECTS_AT_ONCE = 8
"""Below the 10 logins under way at which sshd starts to drop some (MaxStartups); all may share a gateway."""

HOSTS_AT_ONCE = 16


def ssh_host(target: SshTarget) -> Host:
    """Connect to a host over SSH.

    Raises:
        HostKeyRejected: Its key is unknown or has changed.
        HostUnreachable: No connection could be made.
    """
    from quoracy.hosts.ssh import SshHost  # importing fabric takes 0.35 s

    host = SshHost(target)
    host.open()
    return host


class HostPool:
    """Hosts by name; a host is connected on first use and closed when the pool's block ends.

    Args:
        targets: The hosts; their names are unique.
        factory: Returns a connected host, or raises; a failure is not remembered.
    """

    def __init__(
        self, targets: Sequence[SshTarget], factory: Callable[[SshTarget], Host] = ssh_host
    ) -> None:
        self._targets = {target.name: target for target in targets}
        if len(self._targets) != len(targets):
            raise UsageError(
                "two hosts have the same name", next_step="give every host a name of its own"
            )
        self._factory = factory
        self._hosts: dict[str, Host] = {}
        self._locks = {name: threading.Lock() for name in self._targets}
        self._connects = threading.BoundedSemaphore(CONNECTS_AT_ONCE)
        self._ahead: list[threading.Thread] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __getitem__(self, name: str) -> Host:
        """Return a host, connected; every caller gets the same one.

        Raises:
            UsageError: No host has that name.
            HostKeyRejected: Its key is unknown or has changed.
            HostUnreachable: No connection could be made; the next use tries again.
        """
        self._require_known((name,))
        with self._locks[name]:
            if name not in self._hosts:
                with self._connects:
                    self._hosts[name] = self._factory(self._targets[name])
            return self._hosts[name]

    def __len__(self) -> int:
        """How many hosts there are."""
        return len(self._targets)

    def connect_ahead(self) -> None:
        """Begin to connect to all hosts; what fails is told by the host's first use."""

        def connect(name: str) -> None:
            with suppress(QuoracyError):
                self[name]

        for name in self._targets:
            thread = threading.Thread(target=connect, args=(name,), daemon=True)
            thread.start()
            self._ahead.append(thread)

    def each(
        self, function: Callable[[Host], T], names: Iterable[str] | None = None
    ) -> dict[str, T | QuoracyError]:
        """Call a function for every host, several at once, and return its answers by name.

        A `QuoracyError`, also one of the connection, is the answer of its host; of other exceptions the first
        is raised when the calls under way have ended.
        """
        chosen = list(self._targets) if names is None else list(dict.fromkeys(names))
        self._require_known(chosen)

        def ask(name: str) -> T | QuoracyError:
            try:
                return function(self[name])
            except QuoracyError as error:
                return error

        ended = side_by_side([partial(ask, name) for name in chosen], HOSTS_AT_ONCE)
        return {name: one.result() for name, one in zip(chosen, ended, strict=True)}

    def all(
        self, function: Callable[[Host], T], names: Iterable[str] | None = None
    ) -> dict[str, T]:
        """Call a function for every host, as `each` does, and return what all of them answered.

        Raises:
            QuoracyError: The first one, when the calls have ended.
        """
        answers: dict[str, T] = {}
        for name, answer in self.each(function, names).items():
            if isinstance(answer, QuoracyError):
                raise answer
            answers[name] = answer
        return answers

    def close(self) -> None:
        """Close all connections; a host that is used again is connected again."""
        for thread in self._ahead:
            thread.join()
        for name, lock in self._locks.items():
            with lock:
                host = self._hosts.pop(name, None)
                if host is not None:
                    host.close()

    def _require_known(self, names: Iterable[str]) -> None:
        unknown = [name for name in names if name not in self._targets]
        if unknown:
            raise UsageError(
                f"no host is named {', '.join(unknown)}",
                next_step=f"name one of {', '.join(self._targets)}",
            )
