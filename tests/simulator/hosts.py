"""Simulated hosts: a world kept in a file, as hosts outlive whoever works on them."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from quoracy.hosts.fake import FakeHost
from quoracy.hosts.host import Result
from quoracy.hosts.machine import GuardFacts
from quoracy.hosts.targets import SshTarget
from tests.simulator.guards import enter, presented
from tests.simulator.world import Setting, SimHost, World

REVISION = 100  # as tests/etcd_factories.py has it
SNAPSHOT = b"\0" * 4096


@dataclass(slots=True)
class State:
    """All that there is on the hosts.

    Attributes:
        fences: What each host remembers of the guard.
        starts: How many times each member was started.
        events: ("down" | "healthy" | "elected" | "snapshot", host), oldest first.
        broken_laws: What a step did that no step may do.
        operation: The one that acted last; its snapshots count.
    """

    setting: Setting
    world: World
    fences: dict[str, GuardFacts] = field(default_factory=dict)
    starts: dict[str, int] = field(default_factory=dict)
    events: list[tuple[str, str]] = field(default_factory=list)
    broken_laws: list[str] = field(default_factory=list)
    operation: str = ""

    def become(self, world: World) -> None:
        """Go over to another world, and note what a watcher would have seen."""
        names = [host.name for host in self.setting.cluster.hosts]
        for index, name in enumerate(names):
            before, after = self.world.hosts[index], world.hosts[index]
            if before.up and not after.up:
                self.events.append(("down", name))
            if after.up and not before.up:
                self.starts[name] = self.starts.get(name, 0) + 1
        self.events += [("healthy", names[i]) for i in world.healthy - self.world.healthy]
        if world.backups > self.world.backups:
            self.events.append(("snapshot", ""))
        if world.leader is not None and world.leader != self.world.leader:
            self.events.append(("elected", names[world.leader]))
        self.world = world


class SimulatedHosts:
    """The hosts of one cluster, in a file; every change is whole, and one at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: tuple[int, State] | None = None

    def begin(self, setting: Setting) -> None:
        """Hosts that carry nothing."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._write(State(setting, World((SimHost(),) * len(setting.cluster.hosts))))

    @property
    def exist(self) -> bool:
        """Whether there are any yet."""
        return self._path.exists()

    def look(self) -> State:
        """The state as it is now; not to be changed."""
        # Replaced at every change, so another file is another state.
        inode = self._path.stat().st_ino
        if self._kept is None or self._kept[0] != inode:
            self._kept = inode, pickle.loads(self._path.read_bytes())
        return self._kept[1]

    @contextmanager
    def change(self) -> Iterator[State]:
        """Change the state; what was changed is kept also when the block raises."""
        with self._path.with_suffix(".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            state: State = pickle.loads(self._path.read_bytes())
            try:
                yield state
            finally:
                self._write(state)

    def _write(self, state: State) -> None:
        new = self._path.with_suffix(".new")
        new.write_bytes(pickle.dumps(state))
        new.replace(self._path)
        self._kept = None

    def connect(self, target: SshTarget) -> FakeHost:
        """A host that answers what changes nothing here, and refuses whom the guard refuses."""
        host = FakeHost(target.name)
        host.answer(lambda _: True, lambda script: self._answer(target.name, script))
        return host

    def _answer(self, name: str, script: str) -> Result:
        who = presented(script)
        if who is None:
            return Result(0, self._data(name, script) or _told(script), b"")
        with self.change() as state:
            code, fence = enter(state.fences.get(name), who)
            if fence is not None:
                state.fences[name] = fence
        told = self._snapshot(name) if "snapshot save" in script and not code else b""
        return Result(code, told, b"")

    def _data(self, name: str, script: str) -> bytes:
        """What the member says of its data, as `quoracy.etcd.facts_data` asks for it."""
        state = self.look()
        host = state.world.hosts[state.setting.index(name)]
        if " hashkv " in script and host.up:
            return _framed("hash", [{"HashKV": {"hash": 7 + host.written, "compact_revision": -1}}])
        if " get health " in script and state.setting.index(name) in state.world.healthy:
            header = {"cluster_id": int(host.log, 16), "member_id": 1}
            return _framed("read", {"header": {**header, "revision": REVISION + host.written}})
        return b""

    def _snapshot(self, name: str) -> bytes:
        """What etcdctl says before and after it saves one."""
        state = self.look()
        index = state.setting.index(name)
        host = state.world.hosts[index]
        header = {"revision": REVISION, "cluster_id": int(host.log, 16), "member_id": index + 1}
        version = state.setting.version(index, host.runs)
        asked = [
            {"Endpoint": "https://127.0.0.1:2379", "Status": {"header": header, "version": version}}
        ]
        return f"{json.dumps(asked)}\n{json.dumps({'revision': REVISION})}\n".encode()


def _framed(question: str, answer: object) -> bytes:
    told = base64.b64encode(f"{json.dumps(answer)}\n@exit=0".encode()).decode()
    return f"@@{question} {told}\n".encode()


def _told(script: str) -> bytes:
    if script.startswith("uname -m"):
        return b"x86_64\n"
    if script.startswith("cat "):
        return SNAPSHOT + hashlib.sha256(SNAPSHOT).digest()
    return b""


def without_backups(world: World) -> World:
    """What a new operation finds: its own snapshot is still to be taken."""
    return replace(world, backups=0)
