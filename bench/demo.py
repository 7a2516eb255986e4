"""`make demo`: hosts, server, a cluster made, run again, upgraded under load; then where to look.

Everything is done by the commands that a user would type; what is said about the outcome comes from
the hosts' journals, from etcd itself, and from a writer that knows nothing of Quoracy.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from bench.site import QUORACY, quoracy, writer
from lab.lab import Lab
from quoracy.db.session import open_database
from quoracy.db.snapshots import list_snapshots
from quoracy.errors import UsageError
from quoracy.etcd.spec import EtcdCluster
from quoracy.etcd.spec_parse import parse_cluster
from quoracy.home import Home, load_home
from quoracy.login import login_file
from quoracy.prefect.server import server_url
from tests.judges.watch import Watch, overlaps
from tests.judges.writer import WriterReport

NAME, OLD, NEW = "demo", "3.4.23", "3.5.16"
MARKER = "made-by-make-demo"
PENDING = 4


@dataclass(slots=True)
class Story:
    """Tells what happens, when it happens."""

    began: float = field(default_factory=time.monotonic)

    def chapter(self, title: str) -> None:
        """Begin a part."""
        print(f"\n== {title} [{time.monotonic() - self.began:.0f} s]", flush=True)

    def say(self, text: str) -> None:
        """Say something that was seen from outside."""
        print(f"   {text}", flush=True)

    def command(self, *words: str, expect: Sequence[int] = (0,)) -> None:
        """Run `quoracy` in front of the reader.

        Raises:
            SystemExit: It ended otherwise than it should.
        """
        print(f"$ quoracy {' '.join(words)}", flush=True)
        done = subprocess.run((str(QUORACY), *words), check=False)
        if done.returncode not in expect:
            raise SystemExit(
                f"the demonstration stops: exit code {done.returncode} was not expected"
            )


def main() -> None:
    """Tell the whole story; hosts, server and cluster stay up."""
    home, story = load_home(), Story()
    _clear_earlier(story)
    story.chapter("three hosts with systemd and sshd, on this machine")
    story.command("lab", "up", "--name", NAME)
    lab = Lab.load(NAME)
    (lab.files.directory / MARKER).touch()
    story.chapter("Prefect server, database and runner")
    story.command("up")
    cluster = _create(story, lab)
    watch = Watch(lab, cluster)
    _run_again(story, watch)
    _upgrade(story, lab, watch, home)
    _where_to_look(story, home)


def _clear_earlier(story: Story) -> None:
    """Take away what an earlier demonstration has left; hosts that somebody else made are not ours.

    Raises:
        SystemExit: There is a lab of this name that no demonstration has made.
    """
    try:
        lab = Lab.load(NAME)
    except UsageError:
        pass  # there is none, or one that never came up, which `lab up` replaces
    else:
        if not (lab.files.directory / MARKER).exists():
            raise SystemExit(
                f"there is a lab {NAME!r} that is not of `make demo`; "
                f"take it down first: quoracy lab down {NAME}"
            )
        story.chapter("the hosts of an earlier demonstration are taken away")
        story.command("lab", "down", NAME)
    # The cluster of an earlier demonstration is gone with its hosts; exit code 2: it is not known.
    quoracy("cluster", "forget", NAME, "--yes", expect=(0, 2))


def _create(story: Story, lab: Lab) -> EtcdCluster:
    story.chapter(f"a cluster of three members over TLS: etcd {OLD}")
    story.command("cluster", "apply", "-f", str(lab.cluster_yaml))
    story.command("plan", "etcd-deploy", NAME, expect=(PENDING,))
    story.command("etcd-deploy", NAME)
    return parse_cluster(lab.cluster_yaml.read_text(), source=str(lab.cluster_yaml))


def _run_again(story: Story, watch: Watch) -> None:
    story.chapter("the same again: nothing to do")
    before = (watch.restarts(), watch.files())
    story.command("etcd-deploy", NAME)
    restarts, files = watch.restarts(), watch.files()
    touched = sum(
        files[host].get(path) != before[1][host].get(path)
        for host in files
        for path in {*files[host], *before[1][host]}
    )
    restarted = sum(restarts[host] != process for host, process in before[0].items())
    story.say(f"seen on the hosts: {restarted} members restarted, {touched} files touched")


def _upgrade(story: Story, lab: Lab, watch: Watch, home: Home) -> None:
    story.chapter(f"{OLD} -> {NEW}, while 100 writes a second go through all members")
    spec = yaml.safe_load(lab.cluster_yaml.read_text())
    lab.cluster_yaml.write_text(yaml.safe_dump({**spec, "version": NEW}, sort_keys=False))
    story.command("cluster", "apply", "-f", str(lab.cluster_yaml))
    since = watch.now_us()
    with (
        tempfile.TemporaryDirectory(prefix="quoracy-demo-") as directory,
        writer(watch.cluster, home, Path(directory)) as writing,
    ):
        story.command("etcd-deploy", NAME)
        report = writing.stop()
        lost = writing.lost_writes(report)
    _tell_writes(story, report, len(lost))
    _tell_downs(story, watch, since)
    _tell_backup(story, home)


def _tell_writes(story: Story, report: WriterReport, lost: int) -> None:
    story.say(
        f"the writer: {report.acknowledged} writes acknowledged, {lost} of them lost, "
        f"{report.failed} given up, {report.retries} requests tried again, "
        f"longest stall {report.longest_stall_s:.2f} s"
    )


def _tell_downs(story: Story, watch: Watch, since_us: int) -> None:
    downs = watch.down_intervals(since_us)
    times = ", ".join(f"{down.member} {down.seconds or 0:.2f} s" for down in downs)
    story.say(f"the hosts' journals: stop to healthy, in this order: {times}")
    changes = len(watch.leader_changes(since_us))
    equal = "the same" if watch.hashkv().equal else "NOT the same"
    story.say(
        f"members down at once: {len(overlaps(downs))} times; leader changes: {changes}; "
        f"all members hold {equal} data (hashkv)"
    )


def _tell_backup(story: Story, home: Home) -> None:
    db = open_database(home.database_url)
    try:
        newest = list_snapshots(db, NAME)[0]
    finally:
        db.close()
    story.say(
        f"the backup from before the first change, its checksum verified: {newest.location} "
        f"(revision {newest.revision}, {newest.size_bytes} bytes)"
    )


def _where_to_look(story: Story, home: Home) -> None:
    story.chapter("where to look")
    story.command("history", NAME)
    print(
        f"""
   {server_url(home)}/runs   the runs in Prefect, each with its plan; it asks for
                                the line in {login_file(home)}
   quoracy status {NAME}          members, leader, versions
   quoracy lab ssh {NAME}-1       a host
   examples/README.md           services: redeploy them, break them, go back
   how to clean up:
   quoracy lab down {NAME} && quoracy cluster forget {NAME} --yes && quoracy down"""
    )


if __name__ == "__main__":
    main()
