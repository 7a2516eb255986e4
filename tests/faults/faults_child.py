"""The controller under test: an operation in a process of its own, which dies where it is told to.

Processes are forked from one that has imported everything, so that a case costs no imports. Each is a
process of its own for all that counts: its own process ID, connections, and database handles.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from lab import containers
from quoracy.errors import QuoracyError
from quoracy.etcd.deploy import EtcdDeploy, Wanted, open_etcd_deploy
from quoracy.etcd.site import EtcdSite
from quoracy.etcd.steps import AwaitMember, TakeSnapshot
from quoracy.home import load_home
from quoracy.hosts.host import Host
from quoracy.hosts.pool import HostPool, ssh_host
from quoracy.hosts.targets import SshTarget, ssh_targets
from quoracy.operation.lease import Asked
from quoracy.operation.plan import Plan
from quoracy.operation.step import Step
from tests.faults.faults_tap import Point, Recorded, Tap, TappedHost

ASKED = Asked(by="bench", origin="terminal on bench")
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["tests.faults.faults_child", "paramiko", "fabric", "quoracy.hosts.ssh"]
)


@dataclass(frozen=True, slots=True)
class Order:
    """What a controller is to do.

    Attributes:
        home: Its QUORACY_HOME.
        roots: Root file system of each host on this machine.
        point: Where it dies.
        record: Whether it records its changing calls.
        step: Name of the step in which it waits for the fault to be made.
        number: Which host's, in the order in which the plan has them.
        runs: How often it runs the operation, one after the other.
    """

    home: str
    cluster: str
    roots: dict[str, str]
    point: Point | None = None
    record: bool = False
    step: str = ""
    number: int = 0
    runs: int = 1


@dataclass(slots=True)
class Ended:
    """How a controller ended.

    Attributes:
        outcomes: One word for each run: the report's outcome, or the error's class.
        message: What the last error said, its place included.
        died: Where it killed itself: before, middle, after, or late (the script had just ended).
    """

    outcomes: list[str] = field(default_factory=list)
    message: str = ""
    died: str = ""
    recorded: list[Recorded] = field(default_factory=list)


class Controller:
    """A controller that runs; the process ends with the block."""

    def __init__(self, order: Order) -> None:
        self._ours, theirs = _CONTEXT.Pipe()
        self._process: ForkServerProcess = _CONTEXT.Process(
            target=_main, args=(order, theirs), daemon=True
        )
        self._process.start()
        theirs.close()
        self._ended = Ended()

    @property
    def pid(self) -> int:
        """Its process ID."""
        assert self._process.pid is not None, "it was started"
        return self._process.pid

    def reached(self, timeout: float) -> tuple[str, str] | None:
        """Wait until it is in the step; the host, and the mark that the script waits for.

        The mark is "" when the controller itself waits; None when it ended before.
        """
        while self._ours.poll(timeout):
            try:
                message = self._ours.recv()
            except EOFError:
                return None
            if message[0] == "reached":
                return message[1], message[2]
            self._note(message)
        raise QuoracyError(f"the controller has said nothing for {timeout:g} s")

    def go_on(self, mark: str) -> None:
        """Let the script go on, or the controller when it waits itself."""
        if mark:
            Path(mark).unlink()
        else:
            self._ours.send("go")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def end(self, timeout: float = 300.0) -> Ended:
        """Wait for its end.

        Raises:
            QuoracyError: It has not ended in time; it is killed.
        """
        deadline = time.monotonic() + timeout
        while True:
            if not self._ours.poll(max(0.0, deadline - time.monotonic())):
                self._process.kill()
                raise QuoracyError(f"the controller did not end within {timeout:g} s")
            try:
                self._note(self._ours.recv())
            except (EOFError, ConnectionResetError):
                break
        self._process.join(10.0)
        return self._ended

    def _note(self, message: tuple[object, ...]) -> None:
        kind, *rest = message
        if kind == "died":
            self._ended.died = str(rest[0])
        elif kind == "outcome":
            self._ended.outcomes.append(str(rest[0]))
            self._ended.message = str(rest[1])
        elif kind == "recorded":
            self._ended.recorded = list(rest)  # type: ignore[arg-type]

    def __enter__(self) -> Controller:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.is_alive():
            self._process.kill()
            self._process.join(10.0)
        self._ours.close()


def run(order: Order, timeout: float = 300.0) -> Ended:
    """Run a controller to its end."""
    with Controller(order) as controller:
        return controller.end(timeout)


def _main(order: Order, pipe: Connection) -> None:
    """The process: run the operation and say how it ended."""
    tap = Tap(order.cluster, order.roots, pipe.send, point=order.point, record=order.record)
    tap.freeze = lambda host: containers.freeze(host, True)
    # A thread that waits for the middle of a script must not wait for the others' turns.
    sys.setswitchinterval(0.0005)
    for _ in range(order.runs):
        outcome, message = _operation(order, tap, pipe)
        pipe.send(("outcome", outcome, message))
    pipe.send(("recorded", *tap.recorded))


def _operation(order: Order, tap: Tap, pipe: Connection) -> tuple[str, str]:
    home = load_home({"QUORACY_HOME": order.home, "HOME": order.home})
    try:
        with open_etcd_deploy(Wanted(order.cluster), home) as deploy, _tapped(deploy, tap):
            plan = deploy.plan()
            _hook(deploy, plan, order, tap, pipe)
            return deploy.run(plan, ASKED).outcome, ""
    except QuoracyError as error:
        return type(error).__name__, str(error)
    except Exception as error:  # noqa: BLE001  a traceback is a finding, not the end of the bench
        return f"TRACEBACK {type(error).__name__}", traceback.format_exc()


@contextmanager
def _tapped(deploy: EtcdDeploy, tap: Tap) -> Iterator[None]:
    """Put the tap between the operation and its hosts."""

    def connect(target: SshTarget) -> Host:
        return TappedHost(ssh_host(target), tap)

    targets = ssh_targets(deploy.cluster, default_known_hosts=str(deploy.home.known_hosts))
    with HostPool(targets, factory=connect) as pool:
        deploy.pool = pool
        yield


def _hook(deploy: EtcdDeploy, plan: Plan, order: Order, tap: Tap, pipe: Connection) -> None:
    """Have the chosen step wait: inside its first changing script, or before it when it has none."""
    hosts = [step.host for _, step in plan.steps if step.name == order.step]
    if not hosts:
        return
    target = hosts[order.number % len(hosts)]
    carry_out = deploy.apply_step

    def apply_step(step: Step, site: EtcdSite) -> str:
        # Who takes the snapshot may have changed since the plan was made.
        anywhere = step.name == TakeSnapshot.name
        if step.name == order.step and (anywhere or step.host == target):
            deploy.apply_step = carry_out
            if step.name == AwaitMember.name:
                pipe.send(("reached", step.host, ""))
                pipe.recv()
            else:
                tap.hold_next = threading.get_ident()
        return carry_out(step, site)

    deploy.apply_step = apply_step
