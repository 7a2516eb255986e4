"""What systemd does for a service with a socket unit, without systemd: a held port and restarts."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

# The process finds the socket as file descriptor 3 and itself named (sd_listen_fds(3)).
_START = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execvp(sys.argv[2], sys.argv[2:])
"""


@dataclass
class HeldPort:
    """A listening socket, and the process that it is passed to."""

    command: tuple[str, ...]
    cwd: Path
    environment: Mapping[str, str]
    listener: socket.socket
    process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def start(self, **more: str) -> None:
        number = self.listener.fileno()
        self.process = subprocess.Popen(
            (sys.executable, "-c", _START, str(number), *self.command),
            cwd=self.cwd,
            env={**os.environ, **self.environment, **more},
            pass_fds=(number,),
        )

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)

    def get(self, path: str) -> tuple[int, str]:
        return get(self.port, path)


def get(port: int, path: str) -> tuple[int, str]:
    """One request over a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@contextmanager
def held_port(
    command: tuple[str, ...], cwd: Path, environment: Mapping[str, str]
) -> Iterator[HeldPort]:
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        held = HeldPort(command, cwd, environment, listener)
        try:
            yield held
        finally:
            if held.process is not None and held.process.poll() is None:
                held.process.kill()
                held.process.wait()


@dataclass
class Poller:
    """Asks over fresh connections every 5 ms until it is told to end."""

    port: int
    answers: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self._ended.wait(0.005):
            try:
                status, text = get(self.port, "/")
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
            else:
                (self.answers if status == 200 else self.failures).append(text)

    def end(self) -> None:
        self._ended.set()


@contextmanager
def polled(port: int, pollers: int = 4) -> Iterator[list[Poller]]:
    asking = [Poller(port) for _ in range(pollers)]
    threads = [threading.Thread(target=each.run) for each in asking]
    for thread in threads:
        thread.start()
    try:
        yield asking
    finally:
        for each in asking:
            each.end()
        for thread in threads:
            thread.join()


def wait_for(held: HeldPort, poller: Poller, more: int) -> None:
    """Return once so many more answers have come; a process that has ended gives none."""
    wanted = len(poller.answers) + more
    while len(poller.answers) < wanted:
        assert held.process is not None
        assert held.process.poll() is None, "the service has ended"
        time.sleep(0.01)
