from __future__ import annotations

import contextvars
import dataclasses
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from quoracy.errors import CommandFailed, HostUnreachable, UsageError
from quoracy.hosts.fake import FakeHost
from quoracy.hosts.host import Host, Result
from quoracy.hosts.pool import CONNECTS_AT_ONCE, HostPool
from quoracy.hosts.targets import SshTarget
from tests.hosts.loopback_sshd import Sshd, free_port


def targets(*names: str) -> list[SshTarget]:
    return [SshTarget(name, "127.0.0.1", 22, "root", None, "none") for name in names]


class Factory:
    """Makes fake hosts, keeps them, and fails for the names in `dead`."""

    def __init__(self) -> None:
        self.hosts: list[FakeHost] = []
        self.dead: set[str] = set()

    def __call__(self, target: SshTarget) -> Host:
        if target.name in self.dead:
            raise HostUnreachable("switched off", where=target.name)
        host = FakeHost(target.name)
        host.answer(lambda _: True, Result(0, target.name.encode(), b""))
        self.hosts.append(host)
        return host


def ask(host: Host) -> bytes:
    return host.run("hostname", what="ask").stdout


def test_hosts_are_connected_on_first_use_once_and_closed_at_the_end() -> None:
    factory = Factory()
    with HostPool(targets("a", "b", "c"), factory) as pool:
        assert factory.hosts == []
        assert pool["b"] is pool["b"]
        assert [host.name for host in factory.hosts] == ["b"]
        pool.each(ask)
        assert sorted(host.name for host in factory.hosts) == ["a", "b", "c"]
        assert not any(host.closed for host in factory.hosts)
    assert all(host.closed for host in factory.hosts)


def test_threads_share_one_connection() -> None:
    factory = Factory()
    with HostPool(targets("a"), factory) as pool, ThreadPoolExecutor(20) as threads:
        assert len({id(host) for host in threads.map(lambda _: pool["a"], range(100))}) == 1
    assert len(factory.hosts) == 1


def test_a_failed_connection_is_not_remembered() -> None:
    factory = Factory()
    factory.dead.add("a")
    with HostPool(targets("a"), factory) as pool:
        with pytest.raises(HostUnreachable):
            pool["a"]
        factory.dead.clear()
        assert ask(pool["a"]) == b"a"


def test_connects_at_once_are_bounded() -> None:
    lock, under_way, most = threading.Lock(), 0, 0
    all_at_once = threading.Barrier(CONNECTS_AT_ONCE, timeout=30)

    def slow(target: SshTarget) -> Host:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        all_at_once.wait()
        with lock:
            under_way -= 1
        return FakeHost(target.name)

    names = [f"h{n}" for n in range(3 * CONNECTS_AT_ONCE)]
    with HostPool(targets(*names), slow) as pool:
        assert list(pool.each(lambda host: host.name).values()) == names
    assert most == CONNECTS_AT_ONCE


def test_each_returns_the_error_of_a_host_as_its_answer() -> None:
    factory = Factory()
    factory.dead.add("b")
    with HostPool(targets("a", "b", "c"), factory) as pool:
        failing = pool["c"]
        assert isinstance(failing, FakeHost)
        failing.answer(lambda _: True, Result(1, b"", b"no"))
        answers = pool.each(ask)
    assert list(answers) == ["a", "b", "c"]
    assert answers["a"] == b"a"
    assert isinstance(answers["b"], HostUnreachable)
    assert isinstance(answers["c"], CommandFailed)


def test_each_asks_only_the_named_hosts_in_their_order() -> None:
    with HostPool(targets("a", "b", "c"), Factory()) as pool:
        assert list(pool.each(ask, ["c", "a", "c"])) == ["c", "a"]
        assert pool.each(ask, []) == {}


def test_each_passes_on_an_error_that_is_not_a_hosts() -> None:
    def divide(host: Host) -> float:
        return 1 / (len(host.name) - 1)

    with HostPool(targets("a", "bb"), Factory()) as pool, pytest.raises(ZeroDivisionError):
        pool.each(divide)


def test_each_runs_in_the_context_of_its_caller() -> None:
    run = contextvars.ContextVar("run", default="none")
    run.set("etcd-deploy")
    with HostPool(targets("a", "b"), Factory()) as pool:
        assert pool.each(lambda _: run.get()) == {"a": "etcd-deploy", "b": "etcd-deploy"}


def test_unknown_and_doubled_names_are_the_users_mistake() -> None:
    with HostPool(targets("a"), Factory()) as pool:
        with pytest.raises(UsageError, match="no host is named x"):
            pool["x"]
        with pytest.raises(UsageError, match="no host is named x, y"):
            pool.each(ask, ["a", "x", "y"])
    with pytest.raises(UsageError, match="same name"):
        HostPool(targets("a", "a"), Factory())


def test_a_dead_port_among_real_hosts(sshd: Sshd, second_sshd: Sshd) -> None:
    dead = dataclasses.replace(sshd.target("dead"), port=free_port())
    with HostPool([sshd.target("one"), dead, second_sshd.target("two")]) as pool:
        answers = pool.each(lambda host: host.run("echo here", what="ask").stdout)
    assert answers["one"] == answers["two"] == b"here\n"
    assert isinstance(answers["dead"], HostUnreachable)


def test_the_pool_alone_does_not_import_fabric() -> None:
    program = "import sys, quoracy.hosts.pool; print({'fabric', 'paramiko'} & set(sys.modules))"
    ended = subprocess.run((sys.executable, "-c", program), capture_output=True, check=True)
    assert ended.stdout == b"set()\n"
