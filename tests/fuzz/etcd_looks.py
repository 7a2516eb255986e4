"""Looks at members of etcd: all hosts, one that is waited for, a snapshot, a log."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from hypothesis import strategies as st

from quoracy.cli import status as etcd_status
from quoracy.cli.show import show_json
from quoracy.errors import QuoracyError
from quoracy.etcd.checks_certificates import WantedCertificates
from quoracy.etcd.facts_answers import parse_saved
from quoracy.etcd.facts_cluster import EtcdFacts
from quoracy.etcd.facts_log import MAX_CHARS, cause_of_end, last_lines
from quoracy.etcd.gather import gather_etcd, poll_member, seen_from
from quoracy.etcd.plan.deploy import DeployRequest, plan_etcd_deploy
from quoracy.etcd.spec import EtcdCluster
from quoracy.hosts.fake import FakeHost
from quoracy.hosts.host import Result
from quoracy.hosts.looks import understood
from quoracy.hosts.targets import ssh_targets
from tests.fuzz.lies import Draw, changed, lied
from tests.fuzz.looks import TESTS, Seen, caught, pool_of, show, terminal

ETCD = TESTS / "etcd/recorded"
LOGS = [path.read_bytes() for path in sorted(TESTS.glob("etcd/recorded_logs/*.log"))]
NAMES = ("facts-1", "facts-2", "facts-3")


@dataclass(frozen=True)
class Situation:
    """What was recorded of a cluster: the output of each host that answered, and what it means."""

    name: str
    cluster: EtcdCluster
    outputs: dict[str, bytes]
    facts: EtcdFacts
    request: DeployRequest

    def __repr__(self) -> str:
        return self.name


def cluster(version: str, heartbeat: int) -> EtcdCluster:
    lines = (ETCD / "addresses").read_text().splitlines()
    hosts = [{"name": name, "address": address} for name, address in map(str.split, lines)]
    etcd = {"quota_backend_bytes": 8 * 1024 * 1024, "heartbeat_interval_ms": heartbeat}
    spec = {"kind": "etcd", "name": "facts", "version": version, "hosts": hosts, "etcd": etcd}
    return EtcdCluster.model_validate(spec)


class Etcd:
    """Looks at clusters: all hosts, one member, what a snapshot says."""

    def __init__(self) -> None:
        self.situations = [
            self._situation(place, heartbeat)
            for place in (one.parent for one in sorted(ETCD.glob("*/*/asked_at")))
            for heartbeat in (100, 150)
        ]
        self.saved = [path.read_bytes() for path in sorted(ETCD.glob("*/saved.jsonl"))]

    def _situation(self, place: Path, heartbeat: int) -> Situation:
        outputs = {path.stem: path.read_bytes() for path in sorted(place.glob("*.txt"))}
        spec = cluster(place.parent.name, heartbeat)
        at = datetime.fromisoformat((place / "asked_at").read_text().strip())
        facts = self._look(spec, outputs, at)
        request = DeployRequest(
            pinned_cluster_id=next(iter(facts.cluster_ids), None),
            token="fuzz-token",
            certificates=WantedCertificates(ca=None, given={}),
        )
        name = f"{place.parent.name}/{place.name}, heartbeat {heartbeat}"
        return Situation(name, spec, outputs, facts, request)

    def _look(self, spec: EtcdCluster, outputs: dict[str, bytes], at: datetime) -> EtcdFacts:
        answers = {name: outputs.get(name, b"") for name in NAMES}
        pool = pool_of(ssh_targets(spec, default_known_hosts="/nowhere"), answers)
        return replace(gather_etcd(spec, pool), asked_at=at, took_s=1.0)

    def look(self, draw: Draw, seen: Seen) -> None:
        """All hosts, of which one lies."""
        situation = draw(st.sampled_from(self.situations))
        liar = draw(st.sampled_from(sorted(situation.outputs)))
        outputs = {**situation.outputs, liar: lied(draw, situation.outputs[liar])}
        facts = self._look(situation.cluster, outputs, situation.facts.asked_at)
        for name, said in facts.hosts.items():
            assert name == liar or said == situation.facts.hosts[name], name
        seen.judge(facts.hosts[liar])
        with contextlib.suppress(QuoracyError):
            seen_from(facts, liar)
        with terminal():
            show(plan_etcd_deploy(situation.cluster, facts, situation.request), seen)
            rows = [etcd_status._row(name, facts) for name in facts.hosts]
            etcd_status._show("facts", facts, rows)
            show_json(rows)

    def poll(self, draw: Draw, seen: Seen) -> None:
        """One member while it is waited for."""
        situation = draw(st.sampled_from(self.situations))
        output = draw(st.sampled_from(sorted(situation.outputs.values())))
        asked = [line for line in output.split(b"\n") if line.startswith((b"@@unit", b"@@health"))]
        asked.append(b"@@uptime MTIzLjQ1IDY3OC45MAoKQGV4aXQ9MA==")  # 123.45 678.90
        host = FakeHost("facts-1")
        host.answer(lambda _: True, Result(0, lied(draw, b"\n".join([*asked, b""])), b""))
        seen.judge(caught(lambda: poll_member(situation.cluster, host)))

    def snapshot(self, draw: Draw, seen: Seen) -> None:
        """What a member says of a snapshot."""
        output = changed(draw, draw(st.sampled_from(self.saved)))
        seen.judge(caught(lambda: understood(output, parse_saved, what="save", host="facts-1")))


def log(draw: Draw, seen: Seen) -> None:
    """What a member's own log says of why it ended."""
    text = changed(draw, draw(st.sampled_from(LOGS))).decode("utf-8", "replace")
    cause = cause_of_end(text)
    assert cause.isprintable()
    assert all(line.isprintable() for line in last_lines(text).split("\n"))
    assert len(cause) <= MAX_CHARS
    seen.counts["logs"] += 1
