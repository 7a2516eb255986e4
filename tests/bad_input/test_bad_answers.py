"""Answers of hosts that are not what was asked for: that host is silent with a reason, and nothing breaks.

Each is a recorded answer, changed in one place. Thousands more are tried by `make fuzz-hosts`.
"""

from __future__ import annotations

import base64
import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quoracy.errors import RemoteError, StepFailed
from quoracy.etcd.gather import gather_etcd, poll_member
from quoracy.etcd.spec import EtcdCluster
from quoracy.etcd.wait import await_member
from quoracy.hosts.fake import FakeHost
from quoracy.hosts.host import HttpAnswer, Result
from quoracy.hosts.machine import HostSilent
from quoracy.hosts.pool import HostPool
from quoracy.hosts.question import Answer
from quoracy.hosts.targets import ssh_targets
from quoracy.services.gather import gather_service
from quoracy.services.wait import await_service
from tests.bad_input.bad_controller import (
    RECORDED,
    Answers,
    fake_hosts,
    fake_spec,
    framed,
    recorded_answers,
)
from tests.service_factories import service
from tests.service_factories import service as web

WEB = (RECORDED.parents[1] / "services/recorded/web/released/look.txt").read_bytes()
CLUSTER = EtcdCluster.model_validate(fake_spec("3.5.30"))


def says(question: str, text: str) -> Callable[[Answers], Answers]:
    return lambda answers: {**answers, question: Answer(text, 0)}


def replaced(question: str, old: str, new: str) -> Callable[[Answers], Answers]:
    def change(answers: Answers) -> Answers:
        assert old in answers[question].text
        return {**answers, question: Answer(answers[question].text.replace(old, new), 0)}

    return change


def packed(*names: str, kind: bytes = tarfile.REGTYPE, header: int = 1) -> str:
    """A tar in base64, whose first header comes so many times."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:") as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.type = kind
            archive.addfile(info)
    return base64.b64encode(out.getvalue()[:512] * header + out.getvalue()[512:]).decode()


STATUS = '[{"Endpoint":"x","Status":%s}]'
HEADER = '{"header":{"cluster_id":1,"member_id":2,"revision":%s},"version":"3.5.30"}'
ETCD = [
    ("a list of numbers for members' status", says("status", "[1]"), "status: 0: Input should be"),
    ("an object for members' status", says("status", '{"a": 1}'), "status: Input should be"),
    ("no status in the status", says("status", STATUS % "null"), "status: 0.Status: "),
    ("a revision below 0", says("status", STATUS % HEADER % "-5"), "revision: Input should be"),
    ("a revision of 2^63", says("status", STATUS % HEADER % 2**63), "revision: Input should be"),
    ("a revision that is a text", says("status", STATUS % HEADER % '"7"'), "revision: Input sh"),
    ("a version that is none", says("status", STATUS % (HEADER % 1).replace("3.5.30", "3.x")), "ver"),
    ("numbers for health", says("health", "[1]"), "health: Read: Input should be an object"),
    ("a list for the member list", says("members", "[]"), "members: Input should be an object"),
    ("an ID that is a list", says("members", '{"members":[{"ID":[]}]}'), "members: members.0.ID: "),
    ("JSON nested without end", says("members", "[" * 50_000), "members: Invalid JSON"),
    ("a clock that is no number", replaced("system", "clock=", "clock=nan #"), "system: clock is"),
    ("a clock without end", replaced("system", "clock=", "clock=inf\nx="), "system: clock is 'inf'"),
    ("escape sequences", replaced("system", "os=Debian", "os=\x1b[31mDebian"), "system: os is"),
    ("a process below 0", replaced("unit", "MainPID=", "MainPID=-"), "unit: MainPID is '-"),
    ("restarts without end", replaced("unit", "NRestarts=0", "NRestarts=" + "9" * 5000), "unit: NR"),
    ("headers in a tar without end", says("files", packed("x", kind=b"L", header=5000)), "files: "),
    ("half a tar", replaced("files", "A", ""), "files: "),
    ("a port that is none", replaced("ports", ":0016 ", ":GG16 "), "ports: '00000000:GG16' is no"),
    ("a fence without a number", says("guard", "me\n"), "guard: what it has noted of the operation"),
    ("a fence above all others", says("guard", f"me {2**63} 5\n"), "guard: what it has noted of the operation"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "reason"), [row[1:] for row in ETCD], ids=[row[0] for row in ETCD]
)
def test_a_member_that_cannot_be_understood(change: Any, reason: str) -> None:
    fakes = fake_hosts("3.5.30", "healthy", {"facts-2": change})
    targets = ssh_targets(CLUSTER, default_known_hosts="/nowhere")
    facts = gather_etcd(CLUSTER, HostPool(targets, factory=lambda target: fakes[target.name]))
    assert facts.healthy == {"facts-1", "facts-3"}
    assert_says_why(facts.hosts["facts-2"], reason)


def assert_says_why(silent: Any, reason: str) -> None:
    assert isinstance(silent, HostSilent)
    assert silent.reason.startswith("an answer cannot be read (look at the host): ")
    assert reason in silent.reason
    assert silent.reason.isprintable()
    assert len(silent.reason) < 400
    assert silent.next_step


def polled(change: Callable[[Answers], Answers]) -> bytes:
    answers = recorded_answers("3.5.30", "healthy", "facts-2")
    few = {name: answers[name] for name in ("unit", "health")} | {"uptime": Answer("99999 1\n", 0)}
    return framed(change(few))


POLLS = [
    ("no uptime", says("uptime", "")),
    ("an uptime that is none", says("uptime", "nan 1\n")),
    ("a process that is none", says("unit", "MainPID=x\n")),
    ("numbers for health", says("health", "[1]")),
    ("no answer for the unit", lambda answers: {k: v for k, v in answers.items() if k != "unit"}),
]


@pytest.mark.parametrize("change", [row[1] for row in POLLS], ids=[row[0] for row in POLLS])
def test_a_member_that_is_waited_for(change: Any) -> None:
    """Such a look takes time, and is no proof against the member."""
    host, said = FakeHost("facts-2"), [polled(change), *[polled(lambda same: same)] * 9]
    host.answer(lambda _: True, lambda _: Result(0, said.pop(0), b""))
    with pytest.raises(RemoteError, match="facts-2: an answer cannot be read"):
        poll_member(CLUSTER, host)
    said.insert(0, polled(change))

    def poll() -> Any:
        return poll_member(CLUSTER, host)

    told = await_member(CLUSTER, "facts-2", poll, poll, sleep=lambda _: None, clock=lambda: 0.0)
    assert told.startswith("3 reads in a row")


def zipped(text: bytes) -> str:
    return base64.b64encode(gzip.compress(text)).decode()


RECORD = '{"source":"","recipe":"","dependencies":"","runtime":"","created_s":%s,"operation":""}'
SERVICES = [
    ("a record that is a list", says("records", "r1 none []\n"), "records: release r1: Input should"),
    ("a record that says nothing", says("records", "r1 none {}\n"), "records: release r1: source: "),
    ("a release made in no year", says("records", f"r1 none {RECORD % 10**18}\n"), "created_s: "),
    ("a release without a record", says("records", "r1\n"), "records: release r1: Invalid JSON"),
    ("a manifest of half a gzip", says("manifest", zipped(b"x" * 99)[:-12]), "manifest: "),
    ("a manifest of something else", says("manifest", zipped(b"[1]\n")), "this is not a manifest: [1]"),
    ("a manifest of endless files", says("manifest", zipped(b'["a","file",0,1e999,""]\n')), "manifest: "),
    ("a manifest that is nested", says("manifest", zipped(b"[" * 50_000)), "manifest: this is not a"),
    ("a link without an owner", says("place", "/opt/web/current l\n"), "place: '/opt/web/current l'"),
    ("a link that leads two ways", says("place", "/opt/web/current l 0 root a\n" * 2), "is named twice"),
    ("a process below 0", replaced("unit", "MainPID=", "MainPID=-"), "unit: MainPID is '-"),
    ("names that are no base64", says("flat", "%%%"), "flat: it is not base64"),
    ("a runtime of two terminals", says("runtime", "v18\x1b[2J\n"), "runtime: its version is 'v18?[2J'"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "reason"), [row[1:] for row in SERVICES], ids=[row[0] for row in SERVICES]
)
def test_a_host_of_a_service_that_cannot_be_understood(change: Any, reason: str) -> None:
    wanted = service(2)
    outputs = {"h1": framed(change(unframed(WEB))), "h2": WEB}
    hosts = {}
    for name, output in outputs.items():
        hosts[name] = FakeHost(name)
        hosts[name].answer(lambda _: True, Result(0, output, b""))
    targets = ssh_targets(wanted, default_known_hosts="/nowhere")
    facts = gather_service(wanted, "", HostPool(targets, factory=lambda target: hosts[target.name]))
    assert list(facts.heard) == ["h2"]
    assert_says_why(facts.hosts["h1"], reason)


def unframed(output: bytes) -> Answers:
    answers = {}
    for line in output.decode().splitlines():
        name, _, encoded = line.removeprefix("@@").partition(" ")
        text, _, code = base64.b64decode(encoded).decode().rpartition("\n@exit=")
        answers[name] = Answer(text, int(code))
    return answers


@pytest.mark.parametrize("process", ["x", "-1", "9" * 5000, "1.5"])
def test_a_service_that_is_waited_for(process: str, tmp_path: Path) -> None:
    """Such a look takes time, and is neither for the release nor against it."""
    now, host = [0.0], FakeHost("h1")
    wrong = f"ActiveState=active\nSubState=running\nMainPID={process}\nNRestarts=0\n\ninside=yes\n"
    right = wrong.replace(process, "7", 1)

    def shown(_: str) -> Result:
        return Result(0, (wrong if now[0] < wrong_until[0] else right).encode(), b"")

    host.answer(lambda script: "systemctl show" in script, shown)
    host.answer(lambda script: "journalctl" in script, Result(0, b"bye\n", b""))
    host.http_answer(lambda *_: True, HttpAnswer(200, b"ok"))

    def sleep(seconds: float) -> None:
        now[0] += seconds + 0.01

    def wait() -> str:
        return await_service(
            web(), host, "/opt/web/releases/r", hold=None, clock=lambda: now[0], sleep=sleep
        )

    wrong_until = [2.0]
    assert wait().startswith("healthy ")
    wrong_until[0] = 10.0**9
    with pytest.raises(StepFailed, match=r"an answer cannot be read \(look at the service\)"):
        wait()
