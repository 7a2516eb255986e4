"""What is recorded about the labs of this machine: one JSON file each, gone after a reboot."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from lab import places
from lab.layout import LabLayout, lay_out


@dataclass(frozen=True, slots=True)
class RecordedHost:
    """A host as recorded: `pid` is its init's on this machine when it was last powered on."""

    name: str
    address: str
    pid: int | None
    state: str


@dataclass(frozen=True, slots=True)
class Record:
    """A lab as recorded; not `ready` means that its `up` is under way or did not come to its end."""

    name: str
    index: int
    subnet: str
    directory: str
    base: str
    ready: bool
    hosts: tuple[RecordedHost, ...]

    def layout(self) -> LabLayout:
        """Return the layout, which name, number of the subnet and number of hosts determine."""
        return lay_out(self.name, self.index, len(self.hosts))


def lock_file(name: str = "") -> Path:
    """Return the lock file of one lab, or of all records when no name is given."""
    return places.records() / f".{name or 'all'}.lock"


def read(name: str) -> Record | None:
    """Return the record of a lab; None when there is none."""
    try:
        content = json.loads((places.records() / f"{name}.json").read_text())
    except FileNotFoundError:
        return None
    hosts = tuple(RecordedHost(**host) for host in content.pop("hosts"))
    return Record(**content, hosts=hosts)


def read_all() -> list[Record]:
    """Return the records of all labs, by name."""
    names = sorted(path.stem for path in places.records().glob("*.json"))
    return [record for name in names if (record := read(name)) is not None]


def write(record: Record) -> None:
    """Write a record; a reader sees the old or the new one, never half."""
    path = places.records() / f"{record.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.new")
    temporary.write_text(json.dumps(asdict(record), indent=2) + "\n")
    temporary.rename(path)


def remove(name: str) -> None:
    """Remove a record when it is there."""
    (places.records() / f"{name}.json").unlink(missing_ok=True)
