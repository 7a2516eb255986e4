"""Bring a lab up and take it down, whatever state an earlier attempt has left it in."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from lab import disks, faults, keys, network, places, records
from lab.archives import archives
from lab.base import base_system
from lab.files import LabFiles
from lab.hosts import LabHost, create, destroy
from lab.layout import check_name, first_free, foreign_routes, lay_out
from lab.machine import locked, missing
from lab.records import Record, RecordedHost
from quoracy.errors import QuoracyError, UsageError

#: Hosts that are made or booted at the same time.
_AT_ONCE = 8


def up(name: str, count: int, directory: Path) -> Record:
    """Return the record of a lab with all hosts on; see `Lab.up`."""
    check_name(name)
    lay_out(name, 0, count)
    _require_machine(count)
    with locked(records.lock_file(name)):
        record = records.read(name)
        if record is not None and record.ready:
            _require_same(record, count, directory)
        else:
            record = _make(name, count, directory)
        _boot(record)
        return note_all(record)


def reset(name: str) -> None:
    """Give all hosts of a lab that is up new disks and new host keys, and boot them."""
    with locked(records.lock_file(name)):
        record = records.read(name)
        if record is None or not record.ready:
            raise UsageError("the lab is not up", where=f"lab {name}", next_step="`quoracy lab up`")
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(_wipe, hosts_of(record)))
        _create_hosts(record)
        _boot(record)
        note_all(record)


def _wipe(host: LabHost) -> None:
    destroy(host.name, host.directory)
    disks.remove_tree(host.directory)
    faults.heal(host, [])
    faults.full_speed(host)


def down(name: str) -> bool:
    """Take a lab down and say whether there was one; one that is half there is fine, too."""
    check_name(name)
    with locked(records.lock_file(name)):
        record = records.read(name)
        if record is not None:
            _tear_down(record)
        return record is not None


def note_state(host: LabHost, lab: str) -> None:
    """Write the present state of one host into the record of its lab."""
    with locked(records.lock_file()):
        record = records.read(lab)
        if record is not None:
            noted = [_noted(host) if old.name == host.name else old for old in record.hosts]
            records.write(replace(record, hosts=tuple(noted)))


def note_all(record: Record) -> Record:
    """Write the present state of all hosts into the record and return it; the lab is ready."""
    hosts = tuple(_noted(host) for host in hosts_of(record))
    with locked(records.lock_file()):
        noted = replace(record, hosts=hosts, ready=True)
        records.write(noted)
    return noted


def hosts_of(record: Record) -> list[LabHost]:
    """Return the hosts of a recorded lab."""
    return [LabHost.of(host, Path(record.directory)) for host in record.layout().hosts]


def _require_machine(count: int) -> None:
    lacks = missing(count)
    if lacks:
        raise QuoracyError(
            "this machine cannot run practice hosts; it lacks " + "; ".join(lacks),
            next_step="see `quoracy doctor`",
        )


def _require_same(record: Record, count: int, directory: Path) -> None:
    if (len(record.hosts), record.directory) != (count, str(directory)):
        raise UsageError(
            f"it is up already, with {len(record.hosts)} hosts in {record.directory}",
            where=f"lab {record.name}",
            next_step=f"take it down first (`quoracy lab down {record.name}`) or use another name",
        )


def _make(name: str, count: int, directory: Path) -> Record:
    """Make network, disks and files of a lab, none of its hosts on."""
    base = base_system(places.cache())
    packed = archives(places.cache())
    left_behind = records.read(name)
    if left_behind is not None:
        _tear_down(left_behind)
    _claim(directory)
    record = _reserve(name, count, directory, base)
    layout = record.layout()
    network.apply(network.remove_commands(layout, network.present()), what="clearing the network")
    network.apply(network.build_commands(layout), what="building the network")
    files = LabFiles(directory)
    files.write_key()
    files.write_spec(layout, packed)
    _create_hosts(record)
    return record


def _claim(directory: Path) -> None:
    """Empty the directory for a lab, of hosts that run there without a record as well.

    Raises:
        UsageError: Another lab, or something that is no lab, lives there.
    """
    for other in records.read_all():
        if other.directory == str(directory):
            raise UsageError(
                f"the lab {other.name} lives there",
                where=str(directory),
                next_step="give another directory",
            )
    files = LabFiles(directory)
    files.require_ours()
    for host in files.host_directories():
        destroy(host.name, host)
    files.claim()


def _reserve(name: str, count: int, directory: Path, base: Path) -> Record:
    """Take a free /27 and record it.

    Raises:
        QuoracyError: The machine has a route into it that no lab has recorded.
    """
    with locked(records.lock_file()):
        index = first_free({other.index for other in records.read_all()})
        layout = lay_out(name, index, count)
        foreign = foreign_routes(network.routes(), layout.subnet)
        if foreign:
            raise QuoracyError(
                f"this machine has a route to {foreign[0]} that belongs to no lab",
                where=str(layout.subnet),
                next_step=f"look at `ip route`; remove what is left over (ip link delete {layout.bridge})",
            )
        hosts = tuple(RecordedHost(h.name, str(h.address), None, "off") for h in layout.hosts)
        record = Record(name, index, str(layout.subnet), str(directory), str(base), False, hosts)
        records.write(record)
        return record


def _create_hosts(record: Record) -> None:
    files = LabFiles(Path(record.directory))
    authorized_key = files.public_key.read_text()
    layout = record.layout()

    def make(host: LabHost) -> str:
        public = create(host, layout, Path(record.base), authorized_key)
        return keys.known_hosts_line(host.address, public)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        lines = list(pool.map(make, hosts_of(record)))
    files.known_hosts.write_text("".join(lines))


def _boot(record: Record) -> None:
    def boot(host: LabHost) -> None:
        host.resume()
        host.power_on(Path(record.base))
        host.wait_for_ssh()

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(boot, hosts_of(record)))


def _noted(host: LabHost) -> RecordedHost:
    return RecordedHost(host.name, host.address, host.leader, host.state)


def _tear_down(record: Record) -> None:
    """Take all of a lab away; the record goes last, so that what fails can be tried again."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(lambda host: destroy(host.name, host.directory), hosts_of(record)))
    commands = network.remove_commands(record.layout(), network.present())
    network.apply(commands, what="removing the network")
    LabFiles(Path(record.directory)).remove()
    with locked(records.lock_file()):
        records.remove(record.name)
        if not records.read_all():
            network.remove_blackhole()
