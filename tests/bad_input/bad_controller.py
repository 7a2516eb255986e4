"""The command as a user meets it, and what it may not change: rows of the database, files of hosts."""

from __future__ import annotations

import base64
import contextlib
import io
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from quoracy.cli.app import main
from quoracy.etcd.deploy import EtcdDeploy
from quoracy.etcd.spec import EtcdCluster
from quoracy.home import Home
from quoracy.hosts.fake import FakeHost
from quoracy.hosts.host import Result
from quoracy.hosts.pool import HostPool
from quoracy.hosts.question import Answer, parse_answers
from quoracy.hosts.targets import ssh_targets

RECORDED = Path(__file__).parents[1] / "etcd" / "recorded"
FAKE_HOSTS = dict(line.split() for line in (RECORDED / "addresses").read_text().splitlines())

Answers = dict[str, Answer]
Change = Callable[[Answers], Answers]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call of the command left behind."""

    exit_code: int
    out: str
    err: str

    def require_told(self, exit_code: int, parts: Sequence[str]) -> None:
        """A refusal that a person can use: what, where, next; and never a traceback."""
        told = self.out + self.err
        plain = " ".join(told.split())
        assert "Traceback" not in told
        assert self.exit_code == exit_code, told
        assert exit_code in (2, 3)
        for part in parts:
            assert part in plain, told
        assert "next: " in told.lower(), told
        assert len(told) < 8000, told
        assert all(char.isprintable() or char == "\n" for char in told), repr(told)

    def require_one_message(self, exit_code: int, parts: Sequence[str]) -> None:
        """The same; a mistake of the user is one message on standard error and nothing else."""
        self.require_told(exit_code, parts)
        if exit_code == 2:
            assert self.out == ""
            assert self.err.startswith("quoracy: ")
            assert self.err.count("quoracy: ") == 1, self.err


def call(*arguments: str) -> Outcome:
    """Call the command in this process, with the environment's QUORACY_HOME."""
    out, err, before = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["quoracy", *arguments]
    code: Any = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as ended:
        code = ended.code
    finally:
        sys.argv = before
    assert code is None or isinstance(code, int), code
    return Outcome(code or 0, out.getvalue(), err.getvalue())


def rows(home: Home) -> list[str]:
    """All rows of all tables, as SQL."""
    with contextlib.closing(sqlite3.connect(home.path / "quoracy.db")) as connection:
        return list(connection.iterdump())


def wanted_rows(home: Home) -> list[str]:
    """All rows but those that tell of an operation that was refused."""
    return [row for row in rows(home) if not row.startswith('INSERT INTO "operations"')]


def write_spec(place: Path, text: str | bytes | Mapping[str, Any], name: str = "demo") -> Path:
    """A cluster.yaml with that content."""
    file = place / f"{name}.yaml"
    if isinstance(text, Mapping):
        text = yaml.safe_dump(dict(text), allow_unicode=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    return file


def fake_spec(version: str, **settings: Any) -> dict[str, Any]:
    """The cluster whose answers were recorded (tests/etcd/recorded)."""
    return {
        "kind": "etcd",
        "name": "facts",
        "version": version,
        "hosts": [{"name": name, "address": address} for name, address in FAKE_HOSTS.items()],
        "etcd": {"quota_backend_bytes": 8 * 1024 * 1024},
        "release": {"directory": "/srv/archives"},
        **settings,
    }


def recorded_answers(version: str, situation: str, host: str) -> Answers:
    """What a real host once answered, its clock set to now."""
    output = (RECORDED / version / situation / f"{host}.txt").read_bytes()
    return told(parse_answers(output), "system", clock=f"{time.time():.3f}")


def told(answers: Answers, question: str, **pairs: str) -> Answers:
    """The same answers with some `key=value` lines of one of them replaced or added."""
    found = {**answers[question].pairs, **pairs}
    text = "".join(f"{key}={value}\n" for key, value in found.items())
    return {**answers, question: Answer(text, 0)}


def framed(answers: Answers) -> bytes:
    """The answers as a host sends them."""
    lines = []
    for name, answer in answers.items():
        body = f"{answer.text}\n@exit={answer.exit_code}".encode()
        lines.append(f"@@{name} {base64.b64encode(body).decode()}\n")
    return "".join(lines).encode()


def fake_hosts(version: str, situation: str, changes: Mapping[str, Change]) -> dict[str, FakeHost]:
    """Hosts that answer every look as recorded, each with its change, and know nothing else."""
    fakes = {}
    for name in FAKE_HOSTS:

        def answer(_: str, name: str = name) -> Result:
            found = recorded_answers(version, situation, name)
            return Result(0, framed(changes.get(name, lambda same: same)(found)), b"")

        fakes[name] = FakeHost(name)
        fakes[name].answer(lambda script: "@@system" in script, answer)
    return fakes


def with_fakes(deploy: EtcdDeploy, fakes: Mapping[str, FakeHost]) -> EtcdDeploy:
    """The deploy, whose hosts are these."""
    cluster: EtcdCluster = deploy.cluster
    targets = ssh_targets(cluster, default_known_hosts="/nowhere")
    deploy.pool = HostPool(targets, factory=lambda target: fakes[target.name])
    return deploy
