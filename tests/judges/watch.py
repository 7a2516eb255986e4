"""Judging an operation from outside the product: by what the hosts and etcd itself say.

Nothing here goes through the product's connections, facts or database; the cluster's spec tells
where its files lie, no more.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from lab.lab import Lab
from quoracy.errors import QuoracyError
from quoracy.etcd.spec import EtcdCluster
from tests.judges.journal import (
    Down,
    Election,
    Entry,
    down_times,
    elections,
    overlaps,
    parse_journal,
)

__all__ = ["Down", "Election", "Watch", "overlaps"]


@dataclass(frozen=True, slots=True)
class Process:
    """A member's process; equal before and after means: not restarted.

    Attributes:
        invocation: Systemd's ID of this start of the unit.
        restarts: How often systemd has restarted it by itself.
    """

    pid: int
    invocation: str
    restarts: int


@dataclass(frozen=True, slots=True)
class File:
    """A file as it lies on a disk; equal before and after means: not touched, nor replaced."""

    modified: str
    changed: str
    inode: int
    size: int


@dataclass(frozen=True, slots=True)
class HashKV:
    """Each member's hash over all keys at one revision, by endpoint, with its compact revision."""

    revision: int
    hashes: Mapping[str, tuple[int, int]]

    @property
    def equal(self) -> bool:
        """Whether all members hold the same."""
        return len(set(self.hashes.values())) == 1


@dataclass(frozen=True, slots=True)
class Watch:
    """Looks at one cluster on the hosts of a lab.

    Args:
        lab: The hosts.
        cluster: The spec, for names and paths.
    """

    lab: Lab
    cluster: EtcdCluster

    def now_us(self) -> int:
        """The time as the hosts' journals tell it: they share this machine's clock."""
        return time.time_ns() // 1000

    def down_intervals(self, since_us: int = 0) -> tuple[Down, ...]:
        """When members were down, in order of their stops, which is the order of the restarts."""
        journals = self.journals()
        downs = (down for host, told in journals.items() for down in down_times(host, told))
        recent = (down for down in downs if down.stopped_us >= since_us)
        return tuple(sorted(recent, key=lambda down: down.stopped_us))

    def leader_changes(self, since_us: int) -> tuple[Election, ...]:
        """Elections that were first told of at a time or later."""
        told = elections(self.journals().values())
        return tuple(election for election in told if election.time_us >= since_us)

    def journals(self) -> dict[str, tuple[Entry, ...]]:
        """The unit's journal of every host, by host."""
        command = f"journalctl --unit={self.cluster.unit} --output=json --no-pager"
        return {host: parse_journal(told) for host, told in self._each(command).items()}

    def restarts(self) -> dict[str, Process]:
        """The member's process on every host, by host."""
        show = f"systemctl show -p MainPID,InvocationID,NRestarts {self.cluster.unit}"
        return {host: parse_process(told.decode()) for host, told in self._each(show).items()}

    def files(self) -> dict[str, dict[str, File]]:
        """Every file and link that an operation may write, by host and path; not etcd's own data."""
        places = (
            self.cluster.config_dir,
            self.cluster.directories.bin,
            f"/etc/systemd/system/{self.cluster.unit}",
            f"{self.cluster.data_dir}/member/quoracy-cluster-id",
            f"/var/lib/quoracy/{self.cluster.name}",
        )
        # What is not there yet is not listed, and only that makes `find` complain here.
        find = f"find {shlex.join(places)} -printf '%T@ %C@ %i %s %p\\n' 2>/dev/null || true"
        return {host: parse_files(told.decode()) for host, told in self._each(find).items()}

    def hashkv(self) -> HashKV:
        """The members' hashes at the lowest revision that one of them is at.

        Raises:
            QuoracyError: Not all members answered.
        """
        revisions = self._etcdctl("endpoint", "status")
        revision = min(entry["Status"]["header"]["revision"] for entry in revisions)
        hashes = parse_hashes(self._etcdctl("endpoint", "hashkv", f"--rev={revision}"))
        if len(hashes) != len(self.cluster.hosts):
            raise QuoracyError(
                f"{len(hashes)} of {len(self.cluster.hosts)} members gave their hash",
                where=self.cluster.name,
                next_step="look whether all members are up",
            )
        return HashKV(revision, hashes)

    def _etcdctl(self, *words: str) -> list[dict[str, dict[str, dict[str, int]]]]:
        config = self.cluster.config_dir
        endpoints = (f"https://{h.address}:{self.cluster.ports.client}" for h in self.cluster.hosts)
        call = (
            f"{config}/current/release/etcdctl",
            f"--endpoints={','.join(endpoints)}",
            f"--cacert={config}/tls/ca.pem",
            f"--cert={config}/tls/client.pem",
            f"--key={config}/tls/client.key",
            "--write-out=json",
            *words,
        )
        output = self.lab.shell(self.cluster.hosts[0].name, shlex.join(call))
        told: list[dict[str, dict[str, dict[str, int]]]] = json.loads(output)
        return told

    def _each(self, script: str) -> dict[str, bytes]:
        """The output of a script by host."""
        names = [host.name for host in self.cluster.hosts]
        with ThreadPoolExecutor(len(names)) as pool:
            return dict(
                zip(names, pool.map(lambda name: self.lab.shell(name, script), names), strict=True)
            )


def parse_process(shown: str) -> Process:
    """The answer of `systemctl show`."""
    told = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    return Process(int(told["MainPID"]), told["InvocationID"], int(told["NRestarts"]))


def parse_files(found: str) -> dict[str, File]:
    """The answer of `find -printf '%T@ %C@ %i %s %p'`, by path; directories are files, too."""
    files = {}
    for line in found.splitlines():
        modified, changed, inode, size, path = line.split(" ", 4)
        files[path] = File(modified, changed, int(inode), int(size))
    return files


def parse_hashes(told: Iterable[Mapping[str, object]]) -> dict[str, tuple[int, int]]:
    """The answer of `endpoint hashkv`: hash and compact revision, which is left out when zero."""
    hashes = {}
    for entry in told:
        answer = entry["HashKV"]
        assert isinstance(answer, dict), "etcdctl 3.4 and 3.5 give an object"
        hashes[str(entry["Endpoint"])] = (answer["hash"], answer.get("compact_revision", 0))
    return hashes
