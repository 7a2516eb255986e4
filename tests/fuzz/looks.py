"""Looks at hosts of which one lies: facts, plans made of them, tables shown. All that is asked is that nothing breaks.

Whoever cannot be understood is silent with a reason; what is understood can be planned with and shown; and what
one host says changes nothing of what the others said.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from controller import home_in
from fuzz.lies import Draw, changed, lied
from hypothesis import strategies as st
from rich.console import Console

from quoracy.cli import service_tables
from quoracy.cli import status as etcd_status
from quoracy.cli.show import show_json, show_plan
from quoracy.effects.await_service import await_service
from quoracy.effects.gather import gather_etcd, poll_member, seen_from
from quoracy.effects.looks import understood
from quoracy.effects.project import load_code_service
from quoracy.effects.service_gather import gather_service
from quoracy.effects.service_redeploy import ServiceRedeploy, Wanted, open_service_redeploy
from quoracy.errors import AnswerUnreadable, QuoracyError
from quoracy.facts.etcd_answers import parse_saved
from quoracy.facts.etcd_cluster import EtcdFacts
from quoracy.facts.host import HostSilent
from quoracy.facts.manifest import Manifest, difference, parse_manifest
from quoracy.facts.service_state import parse_verified
from quoracy.plan.etcd_deploy import DeployRequest, WantedCertificates, plan_etcd_deploy
from quoracy.plan.markdown import plan_markdown
from quoracy.plan.plan import Plan
from quoracy.plan.service_markdown import releases_markdown
from quoracy.plan.service_rollback import plan_service_rollback
from quoracy.remote.fake import FakeHost
from quoracy.remote.host import HttpAnswer, Result
from quoracy.remote.pool import HostPool
from quoracy.spec.etcd import EtcdCluster, ssh_targets

TESTS = Path(__file__).parents[1]
ETCD, SERVICES = TESTS / "facts/recorded", TESTS / "facts/recorded_services"
NAMES = ("facts-1", "facts-2", "facts-3")
SLIPS = re.compile(r"\b(Attribute|Type|Key|Index|Name|UnboundLocal|Assertion)Error\b")
"""Errors of a parser that took for granted what it was given."""

Reported = Callable[[str], None]


@dataclass
class Seen:
    """What became of the answers."""

    counts: Counter[str] = field(default_factory=Counter)

    def judge(self, answer: Any) -> None:
        """One that was understood, or a reason that may be shown."""
        if isinstance(answer, HostSilent | QuoracyError):
            reason = answer.reason if isinstance(answer, HostSilent) else answer.what
            assert reason.isprintable() or "\n" in reason, repr(reason)
            assert len(reason) <= 2_000, len(reason)
            assert not SLIPS.search(reason), reason
            self.counts["silent"] += 1
        else:
            self.counts["understood"] += 1


@contextlib.contextmanager
def terminal() -> Iterator[None]:
    """A terminal that takes UTF-8 alone."""
    with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO(), "utf-8", "strict")):
        yield


def show(plan: Plan, seen: Seen) -> None:
    """All the ways in which a plan is shown and kept."""
    seen.counts["plans refused" if plan.refused else f"plans to {plan.kind}"] += 1
    plan_markdown(plan).encode()
    json.dumps(plan.as_dict()).encode()
    show_plan(plan, Console(width=120))
    assert plan.digest


def pool_of(targets: Any, outputs: dict[str, bytes]) -> HostPool:
    hosts = {}
    for name, output in outputs.items():
        hosts[name] = FakeHost(name)
        hosts[name].answer(lambda _: True, Result(0, output, b""))
    return HostPool(targets, factory=lambda target: hosts[target.name])


# ------------------------------------------------------------------ etcd


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
    hosts = json.loads((ETCD / "hosts.json").read_text())
    etcd = {"quota_backend_bytes": 8 * 1024 * 1024, "heartbeat_interval_ms": heartbeat}
    spec = {"kind": "etcd", "name": "facts", "version": version, "hosts": hosts, "etcd": etcd}
    return EtcdCluster.model_validate(spec)


class Etcd:
    """Looks at clusters: all hosts, one member, what a snapshot says."""

    def __init__(self) -> None:
        self.situations = [
            self._situation(place, heartbeat)
            for place in sorted(ETCD.glob("*/*/"))
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


def caught(look: Callable[[], Any]) -> Any:
    """What it gives, or the error that says that it cannot be understood."""
    try:
        return look()
    except AnswerUnreadable as error:
        return error


# ------------------------------------------------------------------ services


class Services:
    """Looks at services: all hosts, the gate, what a release consists of. A context for its projects."""

    def __init__(self, place: Path) -> None:
        self._stack = contextlib.ExitStack()
        self.recorded = [
            {
                "name": path.parent.parent.name,
                **{one.stem: one.read_bytes() for one in path.parent.iterdir()},
            }
            for path in sorted(SERVICES.glob("*/*/look.txt"))
        ]
        project = place / "shop"
        shutil.copytree(TESTS.parent / "examples/shop", project)
        names = sorted({one["name"] for one in self.recorded})
        home = home_in(place)
        self.opened: dict[str, ServiceRedeploy] = {}
        for name in names:
            _two_hosts(project / f"deployments/{name}/service-config.yml")
            wanted = Wanted(name, str(project), dry_run=True)
            self.opened[name] = self._stack.enter_context(open_service_redeploy(wanted, home))
            assert load_code_service(str(project), name).service.hosts

    def close(self) -> None:
        self._stack.close()

    def look(self, draw: Draw, seen: Seen) -> None:
        """Two hosts, of which one lies."""
        recorded = draw(st.sampled_from(self.recorded))
        opened = self.opened[recorded["name"]]
        service, output = opened.service, recorded["look"]
        pool = pool_of(
            ssh_targets(service, default_known_hosts="/nowhere"),
            {"h1": lied(draw, output), "h2": output},
        )
        facts = gather_service(service, "0" * 64, pool)
        assert not isinstance(facts.hosts["h2"], HostSilent), facts.hosts["h2"]
        seen.judge(facts.hosts["h1"])
        with terminal():
            show(opened.decide(facts), seen)
            show(
                plan_service_rollback(service, facts, draw(st.sampled_from(("", "flat", "c"))), {}),
                seen,
            )
            rows = [service_tables.status_row(service, *one) for one in facts.hosts.items()]
            service_tables.show_status(service, rows, Console(width=120))
            releases, silent = service_tables.release_rows(facts.hosts)
            service_tables.show_releases(service, releases, silent, Console(width=120))
            show_json([rows, releases])
        releases_markdown(facts).encode()

    def gate(self, draw: Draw, seen: Seen) -> None:
        """A release that is waited for, on a host that lies now and then."""
        recorded = draw(st.sampled_from(self.recorded))
        service, output = self.opened[recorded["name"]].service, recorded["state"]
        answers = [output, changed(draw, output), changed(draw, output)]
        host, now = FakeHost("h1"), [0.0]
        host.answer(lambda _: True, lambda _: Result(0, answers[len(host.scripts) % 3], b""))
        host.http_answer(lambda *_: True, HttpAnswer(200, b"", ""))

        def sleep(seconds: float) -> None:
            now[0] += max(seconds, 0.5)

        try:
            directory = f"{service.directory}/releases/r1"
            await_service(service, host, directory, hold=None, clock=lambda: now[0], sleep=sleep)
        except QuoracyError as error:
            str(error).encode("utf-8", "surrogatepass")
        seen.counts["gates"] += 1

    def release(self, draw: Draw, seen: Seen) -> None:
        """What the files of a release are, and what was shipped."""
        recorded = draw(st.sampled_from([one for one in self.recorded if "verified" in one]))
        shipped, found = recorded["manifest"], recorded["verified"]
        if draw(st.booleans()):
            shipped = changed(draw, shipped)
        else:
            found = changed(draw, found)

        def compare() -> Any:
            wanted = understood(shipped, parse_manifest, what="read the manifest", host="h1")
            there = understood(found, parse_verified, what="verify the release", host="h1")
            return difference(there, wanted or Manifest(()))

        seen.judge(caught(compare))


def _two_hosts(path: Path) -> None:
    config = yaml.safe_load(path.read_text())
    config["hosts"] = [{"name": f"h{n}", "address": f"198.51.100.{n}"} for n in (1, 2)]
    config.pop("ssh", None)
    path.write_text(yaml.safe_dump(config))
