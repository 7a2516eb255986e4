"""One step in, its effect on the host: the only place where plans become changes."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

from quoracy.db.clusters import get_cluster, pin_cluster_id, unpin_cluster_id
from quoracy.errors import CommandFailed, Refused, StepFailed
from quoracy.etcd import scripts, steps
from quoracy.etcd.certificates import host_files
from quoracy.etcd.compare import compare_data
from quoracy.etcd.facts_log import cause_of_end, last_lines
from quoracy.etcd.gather import gather_etcd, poll_member, seen_from
from quoracy.etcd.plan.refusals import ARCHITECTURES
from quoracy.etcd.scripts_staged import NOT_AS_PLANNED, files_named
from quoracy.etcd.site import EtcdSite, release_source
from quoracy.etcd.snapshot import take_snapshot
from quoracy.etcd.spec import EtcdCluster
from quoracy.etcd.wait import await_member
from quoracy.hosts.bounded import Unreadable, one_line
from quoracy.hosts.looks import ask
from quoracy.operation.step import Script, Step
from quoracy.redact import redact
from quoracy.releases.archive import check_archive


class Scripted(Protocol):
    """A step that is nothing but a script."""

    @property
    def host(self) -> str:
        """Where."""

    @property
    def title(self) -> str:
        """What it does, in words."""

    def script(self, cluster: EtcdCluster) -> Script:
        """How that is said."""


CHUNK = 64 * 1024
BEFORE_WAITING_S = 10.0
"""A member may end between its start and the first look at it."""


def apply_etcd_step(step: Step, site: EtcdSite) -> str:
    """Carry out one step.

    Returns:
        One line for the journal; may be empty.

    Raises:
        QuoracyError: The step failed; nothing was tried twice.
    """
    return _MORE.get(type(step), _run)(step, site)


def _run(step: Scripted, site: EtcdSite) -> str:
    """Carry out a step that is nothing but a script.

    Raises:
        Refused: The host holds other files than were planned; nothing was done.
    """
    script = step.script(site.cluster)
    try:
        site.change(step.host, script.text, what=step.title, timeout=script.seconds)
    except CommandFailed as error:
        if error.exit_code_remote != NOT_AS_PLANNED:
            raise
        content = str(getattr(step, "content", ""))
        raise Refused(
            f"not what was planned: {files_named(site.cluster, content, error.stderr)}; "
            f"the step {step.title!r} was not taken",
            where=step.host,
            next_step="find out who edits files there, and run the same command again, which looks anew",
        ) from error
    return ""


def _write_certificates(step: steps.WriteCertificates, site: EtcdSite) -> str:
    files = host_files(site.cluster, site.cluster.host(step.host), site.home, datetime.now(UTC))
    script = scripts.write_certificates(site.cluster, files)
    site.change(step.host, script, what=step.title, timeout=steps.SHORT_S)
    return ""


def _finish_bootstrap(step: steps.FinishBootstrap, site: EtcdSite) -> str:
    script = scripts.finish_bootstrap(site.cluster, _pinned(site))
    site.change(step.host, script, what=step.title, timeout=steps.SHORT_S)
    return ""


def _start_member(step: steps.StartMember | steps.FormMember, site: EtcdSite) -> str:
    """Start a member; where it does not come up, its own log says why."""
    try:
        return _run(step, site)
    except CommandFailed as error:
        cause = cause_of_end(error.stderr) or f"its last words:\n{last_lines(error.stderr)}"
        raise StepFailed(
            f"the member did not come up: {redact(cause)}",
            where=step.host,
            next_step=f"look at `journalctl -u {site.cluster.unit}` on the host",
        ) from error


def _await_member(step: steps.AwaitMember, site: EtcdSite) -> str:
    """Wait for a member; the last look is one at all hosts. Where it has ended, its log says why."""
    host, began = step.host, time.monotonic()
    try:
        return await_member(
            site.cluster,
            host,
            lambda: poll_member(site.cluster, site.pool[host]),
            lambda: seen_from(site.look(), host),
        )
    except StepFailed as error:
        since = f"-{time.monotonic() - began + BEFORE_WAITING_S:.0f}s"
        log = site.pool[host].run(
            scripts.member_log(site.cluster, since), what="read the member's log", check=False
        )
        cause = redact(cause_of_end(log.stdout.decode("utf-8", "replace")))
        if not cause:
            raise
        said = f"{error.what}: {cause}"
        raise StepFailed(said, where=host, next_step=error.next_step) from error


def _install_release(step: steps.InstallRelease, site: EtcdSite) -> str:
    """Push the verified archive through the SSH connection: hosts need no way out."""
    cluster, host = site.cluster, site.pool[step.host]
    built_for = ask(host, "uname -m", _architecture, what="ask for the architecture")
    source = release_source(cluster.release, site.home)
    release = source.fetch(step.version, built_for)
    check_archive(release.archive, step.version)
    script = scripts.install_release(cluster, step.version, release.sha256)
    with release.archive.open("rb") as archive:
        chunks = iter(lambda: archive.read(CHUNK), b"")
        size, what = release.archive.stat().st_size, f"install etcd {step.version}"
        site.push(step.host, script, chunks, what=what, size=size)
    return f"sha256 {release.sha256[:12]}"


def _architecture(told: bytes) -> str:
    """What etcd calls it."""
    machine = told.decode("utf-8", "replace").strip()
    if machine not in ARCHITECTURES:
        raise Unreadable(f"etcd is not released for {one_line(machine)!r}")
    return ARCHITECTURES[machine]


def _withdraw_member(step: steps.WithdrawMember, site: EtcdSite) -> str:
    """Take a young member off its host; the cluster that was to be has no identity any more."""
    script = scripts.withdraw_member(site.cluster, site.stamp)
    limit = site.cluster.systemd.stop_timeout_s + 10.0
    site.change(step.host, script, what=step.title, timeout=limit)
    unpin_cluster_id(site.db, site.cluster.name, now=datetime.now(UTC))
    return ""


def _pin_cluster(step: steps.PinCluster, site: EtcdSite) -> str:  # noqa: ARG001
    """Remember the ID that all members agree on, once they have shown that they hold the same data."""
    facts = gather_etcd(site.cluster, site.pool)
    ids = facts.cluster_ids
    if len(ids) != 1 or len(facts.statuses) != len(site.cluster.hosts):
        raise StepFailed(
            f"the members do not agree on one cluster: {', '.join(sorted(ids)) or 'none answered'}",
            where=site.cluster.name,
            next_step="look at the members' logs: `journalctl -u " + site.cluster.unit + "`",
        )
    compared = compare_data(site.cluster, site.pool, site.look, everyone=True)
    if compared.stops:
        raise StepFailed(compared.message, where=site.cluster.name, next_step=compared.next_step)
    (cluster_id,) = ids
    pin_cluster_id(site.db, site.cluster.name, cluster_id, now=datetime.now(UTC))
    return f"cluster ID {cluster_id}"


def _pinned(site: EtcdSite) -> str:
    pinned = get_cluster(site.db, site.cluster.name).cluster_id
    if pinned is None:
        raise StepFailed("the cluster's ID is not known yet", where=site.cluster.name)
    return pinned


_MORE: dict[type[Step], Callable[[Any, EtcdSite], str]] = {
    steps.TakeSnapshot: take_snapshot,
    steps.InstallRelease: _install_release,
    steps.WriteCertificates: _write_certificates,
    steps.StartMember: _start_member,
    steps.FormMember: _start_member,
    steps.AwaitMember: _await_member,
    steps.PinCluster: _pin_cluster,
    steps.FinishBootstrap: _finish_bootstrap,
    steps.WithdrawMember: _withdraw_member,
}
"""Steps that are more than their script."""
