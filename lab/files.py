"""The files of a lab that a user works with: `cluster.yaml`, the key, the trusted host keys."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from lab import disks, keys
from lab.layout import LabLayout
from quoracy.errors import UsageError

#: The etcd that a new practice cluster starts with; newer ones are among the archives.
FIRST_VERSION = "3.4.23"
_MARKER = ".quoracy-lab"


@dataclass(frozen=True, slots=True)
class LabFiles:
    """The directory of a lab and the names in it."""

    directory: Path

    @property
    def cluster_yaml(self) -> Path:
        """Return the spec of a cluster on all hosts of the lab."""
        return self.directory / "cluster.yaml"

    @property
    def key_file(self) -> Path:
        """Return the private key that root of every host accepts."""
        return self.directory / "id_ed25519"

    @property
    def public_key(self) -> Path:
        """Return the public half of the key, which hosts are made with."""
        return self.directory / "id_ed25519.pub"

    @property
    def known_hosts(self) -> Path:
        """Return the host keys of the hosts, as they were made."""
        return self.directory / "known_hosts"

    @property
    def backups(self) -> Path:
        """Return the directory that the cluster's backups go to."""
        return self.directory / "backups"

    def require_ours(self) -> None:
        """Refuse a directory that a lab must not empty.

        Raises:
            UsageError: It holds something that no lab has made.
        """
        if not self._is_ours() and self.directory.exists() and any(self.directory.iterdir()):
            raise UsageError(
                "the directory is not empty and belongs to no lab",
                where=str(self.directory),
                next_step="give another one, or empty it yourself",
            )

    def claim(self) -> None:
        """Make the directory the lab's own and empty; `require_ours` must have passed."""
        self.remove()
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / _MARKER).touch()

    def host_directories(self) -> list[Path]:
        """Return the directories of the hosts that live, or are left over, in the directory."""
        hosts = self.directory / "hosts"
        return sorted(hosts.iterdir()) if self._is_ours() and hosts.is_dir() else []

    def _is_ours(self) -> bool:
        return (self.directory / _MARKER).exists()

    def remove(self) -> None:
        """Remove the directory, backups of the practice cluster included, if it is a lab's."""
        if self._is_ours():
            disks.remove_tree(self.directory)

    def write_spec(self, lab: LabLayout, archives: Path) -> None:
        """Write `cluster.yaml` for a cluster on all hosts of the lab."""
        self.cluster_yaml.write_text(yaml.safe_dump(self.spec(lab, archives), sort_keys=False))

    def spec(self, lab: LabLayout, archives: Path) -> dict[str, object]:
        """Return what `cluster.yaml` says."""
        ssh = {
            "user": "root",
            "port": 22,
            "key_file": str(self.key_file),
            "known_hosts": str(self.known_hosts),
        }
        return {
            "kind": "etcd",
            "name": lab.name,
            "version": FIRST_VERSION,
            "ssh": ssh,
            "hosts": [{"name": host.name, "address": str(host.address)} for host in lab.hosts],
            "release": {"directory": str(archives)},
            "backup": {"directory": str(self.backups)},
        }

    def write_key(self) -> None:
        """Make the lab's key."""
        key = keys.new_key()
        keys.write_private(self.key_file, key.private)
        self.public_key.write_text(key.public + "\n")
