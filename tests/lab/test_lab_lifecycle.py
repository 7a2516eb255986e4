"""Labs come, go, survive a crash of their maker, and leave nothing behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import disks, lifecycle, network, places, records
from lab.lab import Lab
from lab.machine import run
from quoracy.errors import QuoracyError, UsageError

pytestmark = pytest.mark.lab


@pytest.fixture
def name(lab: Lab) -> Iterator[str]:
    """A name for a second lab beside the session's; taken down in any case."""
    name = f"{lab.name[:16]}-two"
    yield name
    lifecycle.down(name)


def _traces(name: str, directory: Path) -> list[str]:
    """What the machine still knows of a lab, asked of the kernel and not of the records."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    loops = run(("losetup", "--list", "--noheadings"), what="loops").decode().splitlines()
    groups = [path for path in Path("/sys/fs/cgroup").rglob(f"quoracy/{name}-*") if path.is_dir()]
    return [
        *[line for line in (*mounts, *loops) if str(directory) in line],
        *[there for there in network.present() if f"quoracy-{name}-" in there],
        *map(str, groups),
        *[str(path) for path in (places.records() / f"{name}.json", directory) if path.exists()],
    ]


def test_two_labs_coexist_and_the_second_leaves_nothing(
    lab: Lab, name: str, tmp_path: Path
) -> None:
    second = Lab.up(name, 2, tmp_path / "lab")
    assert second.record.subnet != lab.record.subnet
    assert _traces(name, tmp_path / "lab")
    second.down()
    assert _traces(name, tmp_path / "lab") == []
    assert lab.shell(lab.hosts[0].name, "echo here") == b"here\n"
    assert lifecycle.down(name) is False


def test_up_again_boots_only_what_is_off(name: str, tmp_path: Path) -> None:
    made = Lab.up(name, 2, tmp_path / "lab")
    one, two = made.hosts
    stays = two.leader
    made.power_off(one.name)
    again = Lab.up(name, 2, tmp_path / "lab")
    assert again.hosts[0].state == "running"
    assert again.hosts[1].leader == stays
    with pytest.raises(UsageError, match="is up already"):
        Lab.up(name, 1, tmp_path / "lab")


def test_the_record_says_who_is_where(name: str, tmp_path: Path) -> None:
    made = Lab.up(name, 1, tmp_path / "lab")
    content = json.loads((places.records() / f"{name}.json").read_text())
    assert content["hosts"] == [
        {
            "name": f"{name}-1",
            "address": made.hosts[0].address,
            "pid": made.hosts[0].leader,
            "state": "running",
        }
    ]
    made.power_off(made.hosts[0].name)
    noted = records.read(name)
    assert noted is not None
    assert (noted.hosts[0].state, noted.hosts[0].pid) == ("off", None)


def test_reset_gives_new_disks_and_takes_faults_back(name: str, tmp_path: Path) -> None:
    made = Lab.up(name, 2, tmp_path / "lab")
    one, two = made.hosts
    made.shell(one.name, "touch /root/old")
    made.cut(one.name)
    made.power_off(two.name)
    made.reset()
    assert made.shell(one.name, "ls /root") == b""
    assert two.state == "running"


@pytest.mark.parametrize("until", ["disk.img", "root", "console.log"])
def test_a_lab_whose_maker_was_killed_is_cleaned_by_the_next_up(
    name: str, tmp_path: Path, until: str
) -> None:
    directory = tmp_path / "lab"
    script = f"from lab.lab import Lab; Lab.up({name!r}, 2, __import__('pathlib').Path({str(directory)!r}))"
    maker = subprocess.Popen((sys.executable, "-c", script))
    while not (directory / "hosts" / f"{name}-1" / until).exists():
        assert maker.poll() is None
    maker.send_signal(signal.SIGKILL)
    maker.wait()
    with pytest.raises(UsageError, match="half started"):
        Lab.load(name)
    made = Lab.up(name, 2, directory)
    assert [host.state for host in made.hosts] == ["running", "running"]
    made.down()
    assert _traces(name, directory) == []


def test_a_mount_that_comes_late_is_removed_with_its_directory(tmp_path: Path) -> None:
    directory = tmp_path / "host"
    (directory / "disk").mkdir(parents=True)
    mount = f"mount -t tmpfs late {directory}/disk"
    with subprocess.Popen(("sh", "-c", f"for _ in 1 2 3 4 5 6 7 8; do {mount} || exit; done")):
        disks.remove_tree(directory)
    assert not directory.exists()
    assert str(directory) not in Path("/proc/self/mountinfo").read_text()


def test_a_lab_that_was_half_made_can_be_taken_down(name: str, tmp_path: Path) -> None:
    directory = tmp_path / "lab"
    made = Lab.up(name, 2, directory)
    made.power_off(made.hosts[0].name)
    run(("ip", "link", "delete", made.record.layout().bridge), what="breaking the lab")
    made.down()
    assert _traces(name, directory) == []


def test_hosts_without_a_record_are_stopped_before_their_directory_is_reused(
    name: str, tmp_path: Path
) -> None:
    directory = tmp_path / "lab"
    made = Lab.up(name, 1, directory)
    lost = made.hosts[0].leader
    records.remove(name)
    with pytest.raises(QuoracyError, match="belongs to no lab"):
        Lab.up(name, 1, directory)
    run(("ip", "link", "delete", made.record.layout().bridge), what="doing as told")
    again = Lab.up(name, 1, directory)
    assert again.hosts[0].leader != lost
    assert again.hosts[0].state == "running"


def test_a_directory_of_another_lab_is_refused(lab: Lab, name: str) -> None:
    with pytest.raises(UsageError, match="lives there"):
        Lab.up(name, 1, Path(lab.record.directory))
    assert lab.shell(lab.hosts[0].name, "echo here") == b"here\n"
