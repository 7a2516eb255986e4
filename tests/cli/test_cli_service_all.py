"""`pxdcli redeploy --all`: it goes on when one fails, and stops when it is asked to."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from quoracy.cli.service_all import Outcome, exit_code_of
from quoracy.home import Home
from tests.cli.cli_services import config, good

Call = Callable[..., Any]


def test_all_goes_on_when_one_fails_and_tells_of_each(pxd: Call, project: Path) -> None:
    config(project, "broken", "service_type: nodejs\n")
    exit_code, out, err = pxd("redeploy", "--all", "--without-prefect", "--json")
    assert exit_code == 1
    told = {one["service"]: one for one in json.loads(out)}
    assert list(told) == ["broken", "db", "shop", "site"]
    kinds = {name: (one["outcome"], one["state"]) for name, one in told.items()}
    assert kinds["broken"] == ("failed", "UsageError")
    assert kinds["db"] == ("skipped", "Skipped")
    assert "infrastructure" in told["db"]["message"]
    for name in ("shop", "site"):
        assert kinds[name] == ("failed", "Refused"), told[name]
        assert "far-1" in told[name]["message"]
        assert f"{name}: begun" in err
        assert f"{name}: Refused after " in err


@pytest.mark.parametrize(
    ("codes", "wanted"), [((), 0), ((0, 0), 0), ((0, 4), 4), ((4, 1), 1), ((3,), 1), ((-9,), 1)]
)
def test_exit_code_of_all(codes: tuple[int, ...], wanted: int) -> None:
    outcomes = [Outcome("x", "state", "", code) for code in codes]
    assert exit_code_of([*outcomes, Outcome("db", "Skipped", "")]) == wanted


@contextlib.contextmanager
def silent_sshd() -> Iterator[tuple[int, threading.Semaphore, Callable[[], None]]]:
    """A port that takes connections and says nothing; counts them, and can let go of them all."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        came, taken = threading.Semaphore(0), []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    taken.append(server.accept()[0])
                    came.release()

        def let_go() -> None:
            server.shutdown(socket.SHUT_RDWR)
            server.close()
            for connection in taken:
                connection.close()

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield server.getsockname()[1], came, let_go
        finally:
            with contextlib.suppress(OSError):
                let_go()
            thread.join()


@pytest.mark.parametrize(
    ("sent", "became"),
    [(signal.SIGINT, "Refused"), (signal.SIGTERM, "Stopped"), (signal.SIGHUP, "Stopped")],
    ids=["Ctrl-C", "SIGTERM", "SIGHUP"],
)
def test_signals_are_passed_on_once_and_nothing_more_is_begun(
    home: Home, tmp_path: Path, sent: signal.Signals, became: str
) -> None:
    """What interrupts the operations lets them say nothing in JSON; a single Ctrl-C does not."""
    (tmp_path / "known").touch()
    with silent_sshd() as (port, came, let_go):
        for number in range(6):
            text = good(port, tmp_path / "known").replace(", {name: far-2, address: 127.0.0.2}", "")
            config(tmp_path, f"s{number}", text)
        command = (sys.executable, "-m", "quoracy.cli.pxdcli", "redeploy", "--all", "--json")
        process = subprocess.Popen(
            (*command, "--without-prefect", "--project", str(tmp_path)),
            env={**os.environ, "QUORACY_HOME": str(home.path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )
        assert all(came.acquire(timeout=120) for _ in range(4))
        os.killpg(process.pid, sent)  # as a terminal does
        assert process.stderr is not None
        said = ""
        while "stopping: nothing more is begun" not in said:
            said += process.stderr.readline()
        let_go()
        out, err = process.communicate(timeout=120)
    assert process.returncode == 1, err
    states = [one["state"] for one in json.loads(out)]
    assert sorted(states) == [became] * 4 + ["Stopped"] * 2, out
