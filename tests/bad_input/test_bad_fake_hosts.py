"""Bad input of issue 3 that no practice host can be: clocks, processors, versions that it runs.

The hosts answer what real hosts once answered (tests/etcd/recorded), changed in one place, and
know no other script: a changing one would be a LookupError.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from quoracy.errors import Refused
from quoracy.etcd.deploy import Wanted, open_etcd_deploy
from quoracy.home import Home
from quoracy.hosts.question import Answer
from quoracy.operation.lease import Asked
from tests.bad_input.bad_controller import (
    Answers,
    Change,
    Outcome,
    call,
    fake_hosts,
    fake_spec,
    told,
    wanted_rows,
    with_fakes,
    write_spec,
)

ASKED = Asked(by="tester", origin="bad input")


@dataclass(frozen=True, slots=True)
class Bad:
    """What is wrong with facts-2 or with the spec, and what is said of it.

    Attributes:
        says: What the refusal says; a warning when `warns`.
        at: The recorded version and situation.
    """

    words: str
    says: tuple[str, ...]
    change: Change = lambda same: same
    at: tuple[str, str] = ("3.5.16", "absent")
    version: str = "3.5.16"
    warns: bool = False
    spec: dict[str, Any] = field(default_factory=dict)


def pairs(question: str, **values: str) -> Change:
    return lambda answers: told(answers, question, **values)


def clock(seconds: float) -> Change:
    def change(answers: Answers) -> Answers:
        now = float(answers["system"].pairs["clock"])
        return told(answers, "system", clock=f"{now + seconds:.3f}")

    return change


def also(question: str, line: str) -> Change:
    def change(answers: Answers) -> Answers:
        return {**answers, question: Answer(f"{answers[question].text}{line}\n", 0)}

    return change


LISTENS = "1: 00000000:{port:04X} 00000000:0000 0A 00000000:00000000 00:00000000 0 0 0 1 1"
RUNNING = ("3.5.30", "healthy")
ROWS = [
    Bad("a clock over 1 s off", ("facts-2", "its clock is", "off the controller's"), clock(4), warns=True),
    Bad("a clock over 10 s off", ("facts-2: its clock is", "[ClockOff]"), clock(40)),
    Bad("a clock over 10 s off, behind", ("facts-2: its clock is", "[ClockOff]"), clock(-40)),
    Bad("wrong architecture", ("facts-2", "riscv64", "[ArchitectureUnknown]"), pairs("system", arch="riscv64")),
    Bad("no systemd", ("facts-2", "systemd", "[NoSystemd]"), pairs("system", systemd="no")),
    Bad("too little disk", ("facts-2: only 97 MiB free", "[DiskFull]"), pairs("disks", **{"/var/lib/etcd/facts": "99999"})),
    Bad("a port held by something else: client", ("facts-2: port 2379 is in use", "[PortTaken]"), also("ports", LISTENS.format(port=2379))),
    Bad("a port held by something else: peer", ("facts-2: port 2380 is in use", "[PortTaken]"), also("ports", LISTENS.format(port=2380))),
    Bad("a data directory of another cluster", ("facts-2", "data that does not belong", "[ForeignData]"), also("log", "/var/lib/etcd/facts/member/wal/0.wal")),
    Bad("an answer that cannot be read", ("facts-2: could not be asked: an answer cannot be read", "[HostSilent]"), pairs("system", clock="noon")),
    Bad("version skips a minor", ("skips a minor", "[MinorSkipped]"), at=RUNNING, version="3.7.1"),
    Bad("version goes down", ("cannot go back to 3.4.23", "[DowngradeRefused]"), at=RUNNING, version="3.4.23"),
    Bad("version below the floor", ("must run 3.5.32 or later", "[UpgradeFloor]"), at=RUNNING, version="3.6.14"),
    Bad("version is known-bad", ("etcd 3.5.1 is known to be bad", "[VersionKnownBad]"), version="3.5.1"),
    Bad("version that Quoracy does not know", ("etcd 3.9.0 is outside 3.4 to 3.7", "[VersionUnsupported]"), version="3.9.0"),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.words)
def test_deploy(row: Bad, home: Home, tmp_path: Path) -> None:
    spec = fake_spec(row.version, release={"directory": str(tmp_path)}, **row.spec)
    assert call("cluster", "apply", "-f", str(write_spec(tmp_path, spec))).exit_code == 0
    before = wanted_rows(home)
    fakes = fake_hosts(*row.at, {"facts-2": row.change})
    with open_etcd_deploy(Wanted("facts"), home) as opened:
        deploy = with_fakes(opened, fakes)
        plan = deploy.plan()
        warnings = [
            f"{v.where}: {v.message} {v.reason}" for v in plan.verdicts if v.status == "warn"
        ]
        if row.warns:
            (warning,) = [one for one in warnings if "ClockOff" in one]
            assert all(part in warning for part in row.says), warning
            assert not [v for v in plan.verdicts if v.stops and v.reason == "ClockOff"]
        else:
            with pytest.raises(Refused) as refusal:
                deploy.run(plan, ASKED)
            said = " ".join(str(refusal.value).split())
            assert refusal.value.exit_code == 3
            assert all(part in said for part in row.says), said
            assert refusal.value.next_step
    assert {len(fake.scripts) for fake in fakes.values()} == {1}, "only the look at the hosts"
    assert wanted_rows(home) == before


@pytest.mark.parametrize(
    "version", ["v3.5.30", "3.5", "latest", "3.5.30\n", "../3.5.30", "3.5.\u0663"]
)
def test_plan_with_a_malformed_version(version: str, home: Home, tmp_path: Path) -> None:
    call("cluster", "apply", "-f", str(write_spec(tmp_path, fake_spec("3.5.16"))))
    before = wanted_rows(home)
    outcome = call("plan", "etcd-deploy", "facts", "--version", version)
    outcome.require_one_message(2, ["give a version like 3.5.30"])
    assert wanted_rows(home) == before


@pytest.mark.parametrize(
    "name", ["nope", "../facts", "facts\n", "$(reboot)", "é" * 300, "facts; ls"]
)
@pytest.mark.parametrize("verb", [("plan", "etcd-deploy"), ("etcd-deploy",), ("cluster", "show")])
def test_a_cluster_name_that_is_none(
    verb: tuple[str, ...], name: str, home: Home, before: list[str]
) -> None:
    outcome = call(*verb, name)
    assert outcome.exit_code == 2
    assert "there is no cluster" in outcome.err
    assert "known clusters: neighbour" in outcome.err
    assert wanted_rows(home) == before


Break = Callable[[Path], str]


def a_file(home: Path) -> str:
    file = home / "file"
    file.write_text("")
    return str(file)


@pytest.mark.parametrize(
    "where",
    [
        pytest.param(a_file, id="QUORACY_HOME is a file"),
        pytest.param(lambda home: f"{a_file(home)}/below", id="QUORACY_HOME lies below a file"),
        pytest.param(lambda home: "/proc/none", id="QUORACY_HOME cannot be made"),
    ],
)
@pytest.mark.parametrize(
    "arguments",
    [("cluster", "list"), ("plan", "etcd-deploy", "demo"), ("status", "demo"), ("history",)],
)
def test_an_unwritable_state_directory(
    where: Break, arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = where(tmp_path)
    monkeypatch.setenv("QUORACY_HOME", place)
    monkeypatch.delenv("QUORACY_DATABASE_URL", raising=False)
    outcome = call(*arguments)
    outcome.require_one_message(2, [f"{place}: the home directory cannot be", "set QUORACY_HOME"])


def test_a_state_directory_that_is_mounted_read_only(tmp_path: Path) -> None:
    mounted = f"mount --bind {tmp_path} {tmp_path} && mount -o remount,ro,bind {tmp_path}"
    program = Path(sys.executable).with_name("quoracy")
    command = ("unshare", "--mount", "sh", "-c", f'{mounted} || exit 77; exec "$@"', "sh")
    done = subprocess.run(
        (*command, str(program), "cluster", "list"),
        env={**os.environ, "QUORACY_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode in (1, 77):
        pytest.skip("needs mount namespaces (CAP_SYS_ADMIN)")
    outcome = Outcome(done.returncode, done.stdout, done.stderr)
    outcome.require_one_message(2, [f"{tmp_path}: the home directory cannot be written"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "address", ["a b", "$(reboot)", "é" * 70, "-oProxyCommand=x", "", "300.1.1.1"]
)
def test_host_trust_of_what_is_no_address(address: str, home: Home) -> None:
    outcome = call("host", "trust", "--yes", "--", address)
    outcome.require_one_message(2, ["neither an IP address nor a DNS name"])
    assert not home.known_hosts.exists()
