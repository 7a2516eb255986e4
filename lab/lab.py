"""A lab: several practice hosts on one network, made and taken away as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lab import faults, lifecycle, places, records
from lab.archives import archives
from lab.files import LabFiles
from lab.hosts import LabHost
from lab.records import Record
from quoracy.errors import UsageError
from quoracy.hosts.targets import SshTarget


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab that is up; its hosts are named `<lab>-1` and so on.

    Methods that take `host` take its name. All faults may be given twice, and taken back twice.
    """

    record: Record

    @classmethod
    def up(cls, name: str, hosts: int = 3, directory: Path | None = None) -> Lab:
        """Start a lab and return once sshd answers on all hosts; start what is off of one that is up.

        Args:
            name: Name of the lab, unique on this machine.
            hosts: Number of hosts.
            directory: Where it keeps everything; by default its name below `QUORACY_LAB_DIR`.

        Raises:
            UsageError: The arguments cannot be used.
            QuoracyError: The machine lacks something, or a host did not start.
        """
        place = (directory or places.labs() / name).resolve()
        return cls(lifecycle.up(name, hosts, place))

    @classmethod
    def load(cls, name: str) -> Lab:
        """Return the lab of a name.

        Raises:
            UsageError: There is none, or its start never came to its end.
        """
        record = records.read(name)
        if record is None or not record.ready:
            state = "is not up" if record is None else "was left behind half started"
            raise UsageError(
                f"the lab {state}", where=f"lab {name}", next_step=f"`quoracy lab up --name {name}`"
            )
        return cls(record)

    def down(self) -> None:
        """Stop the hosts and remove all of the lab from this machine, its directory included."""
        lifecycle.down(self.name)

    def reset(self) -> None:
        """Give all hosts new disks and new host keys, take all faults back, and boot them."""
        lifecycle.reset(self.name)

    @property
    def name(self) -> str:
        """Return the lab's name."""
        return self.record.name

    @property
    def files(self) -> LabFiles:
        """Return the lab's directory and the names in it."""
        return LabFiles(Path(self.record.directory))

    @property
    def cluster_yaml(self) -> Path:
        """Return the spec of a cluster on all hosts of the lab."""
        return self.files.cluster_yaml

    @property
    def key_file(self) -> Path:
        """Return the private key that root of every host accepts."""
        return self.files.key_file

    @property
    def known_hosts(self) -> Path:
        """Return the file with the hosts' keys."""
        return self.files.known_hosts

    @property
    def archives(self) -> Path:
        """Return the directory of etcd archives; it is filled at the first call on a machine."""
        return archives(places.cache())

    @property
    def controller(self) -> str:
        """Return this machine's address as the hosts see it."""
        return str(self.record.layout().controller)

    @property
    def hosts(self) -> tuple[LabHost, ...]:
        """Return the hosts, in the order of their numbers."""
        directory = Path(self.record.directory)
        return tuple(LabHost.of(host, directory) for host in self.record.layout().hosts)

    def host(self, name: str) -> LabHost:
        """Return a host by its name.

        Raises:
            UsageError: The lab has no such host.
        """
        for host in self.hosts:
            if host.name == name:
                return host
        known = ", ".join(host.name for host in self.hosts)
        raise UsageError(
            f"there is no host {name}", where=f"lab {self.name}", next_step=f"one of: {known}"
        )

    def target(self, host: str) -> SshTarget:
        """Return how a host is reached over SSH."""
        found = self.host(host)
        return SshTarget(
            name=found.name,
            address=found.address,
            port=22,
            user="root",
            key_file=str(self.key_file),
            known_hosts=str(self.known_hosts),
        )

    def shell(self, host: str, script: str, *, timeout: float = 60.0) -> bytes:
        """Run a shell script as a host's root, past network and sshd; see `LabHost.shell`."""
        return self.host(host).shell(script, timeout=timeout)

    def power_off(self, host: str) -> None:
        """Cut a host's power; its disk stays."""
        self.host(host).power_off()
        self._note_state(host)

    def power_on(self, host: str) -> None:
        """Boot a host and return once its init runs; `wait_for_ssh` waits until it can be used."""
        self.host(host).power_on(Path(self.record.base))
        self._note_state(host)

    def pause(self, host: str) -> None:
        """Stop all processes of a host at once; its connections stay open and nobody answers."""
        self.host(host).pause()
        self._note_state(host)

    def resume(self, host: str) -> None:
        """Let the processes of a paused host go on."""
        self.host(host).resume()
        self._note_state(host)

    def wait_for_ssh(self, host: str) -> None:
        """Return once a host's sshd answers this machine."""
        self.host(host).wait_for_ssh()

    def cut(self, host: str, *peers: str) -> None:
        """Drop all packets between a host and peers, both ways.

        Args:
            host: The host; the rule lies in its network.
            peers: Other hosts, or `controller`; all of them and the controller when none is given.
        """
        faults.cut(self.host(host), [self._address(peer) for peer in peers] or self._others(host))

    def cut_port(self, host: str, port: int) -> None:
        """Drop all packets to and from one TCP port of a host; open connections hang, as by a cut."""
        faults.cut_port(self.host(host), port)

    def heal(self, host: str) -> None:
        """Take back every cut that touches a host, on whichever side it was made, and its slowness."""
        faults.heal(self.host(host), [other for other in self.hosts if other.name != host])
        faults.full_speed(self.host(host))

    def slow(self, host: str, rate: str) -> None:
        """Limit what a host sends and receives, each to `rate` in tc's words ("1mbit")."""
        faults.slow(self.host(host), rate)

    def fill_disk(self, host: str, leave: int = 0) -> None:
        """Fill a host's disk but for `leave` bytes; only this host's."""
        faults.fill_disk(self.host(host), leave)

    def free_disk(self, host: str) -> None:
        """Give back what `fill_disk` took."""
        faults.free_disk(self.host(host))

    def _address(self, peer: str) -> str:
        return self.controller if peer == "controller" else self.host(peer).address

    def _others(self, host: str) -> list[str]:
        return [self.controller, *(other.address for other in self.hosts if other.name != host)]

    def _note_state(self, name: str) -> None:
        lifecycle.note_state(self.host(name), self.name)
