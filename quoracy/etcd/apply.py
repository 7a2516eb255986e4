"""One step in, its effect on the host: the only place where plans become changes."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from quoracy.db.clusters import get_cluster, pin_cluster_id, unpin_cluster_id
from quoracy.errors import CommandFailed, Refused, StepFailed
from quoracy.etcd import scripts as commands
from quoracy.etcd import steps
from quoracy.etcd.certificates import host_files
from quoracy.etcd.compare import compare_data
from quoracy.etcd.facts_log import cause_of_end, last_lines
from quoracy.etcd.gather import gather_etcd, poll_member, seen_from
from quoracy.etcd.plan.refusals import ARCHITECTURES
from quoracy.etcd.scripts_staged import NOT_AS_PLANNED, files_named
from quoracy.etcd.site import EtcdSite, release_source
from quoracy.etcd.snapshot import take_snapshot
from quoracy.etcd.wait import await_member
from quoracy.hosts.bounded import Unreadable, one_line
from quoracy.hosts.looks import ask
from quoracy.operation.plan import Step
from quoracy.redact import redact
from quoracy.releases.archive import check_archive

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
    host = step.host
    match step:
        case steps.TakeSnapshot():
            return take_snapshot(step, site)
        case steps.AwaitMember():
            return _await_member(host, site)
        case steps.StartMember() | steps.FormMember():
            return _start_member(step, site)
        case steps.InstallRelease():
            return _install_release(step, site)
        case steps.PinCluster():
            return _pin_cluster(site)
        case steps.WithdrawMember():
            return _withdraw_member(host, site)
        case _:
            return _run(step, site)


def _run(step: Step, site: EtcdSite) -> str:
    """Carry out a step that is nothing but a script.

    Raises:
        Refused: The host holds other files than were planned; nothing was done.
    """
    script, timeout = _script(step, site)
    try:
        site.change(step.host, script, what=step.title, timeout=timeout)
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


def _script(step: Step, site: EtcdSite) -> tuple[str, float]:  # noqa: C901  one case per step
    """The script of a step that is nothing but one, and the seconds it may take."""
    cluster = site.cluster
    start = cluster.systemd.start_timeout_s + 10.0
    stop = cluster.systemd.stop_timeout_s + 10.0
    match step:
        case steps.PrepareHost():
            return commands.prepare_host(cluster), 30.0
        case steps.WriteCertificates(host):
            files = host_files(cluster, cluster.host(host), site.home, datetime.now(UTC))
            return commands.write_certificates(cluster, files), 30.0
        case steps.StageGeneration(_, generation):
            return commands.stage_generation(cluster, generation), 30.0
        case steps.WriteBootstrap(_, content):
            return commands.write_bootstrap(cluster, content), 30.0
        case steps.SwitchGeneration(_, identity, _, content):
            return commands.switch_generation(cluster, identity, content), 60.0
        case steps.WithdrawBootstrap():
            return commands.withdraw_bootstrap(cluster), 30.0
        case steps.WithdrawGeneration():
            return commands.withdraw_generation(cluster), 60.0
        case steps.StartMember(_, _, content):
            return commands.start_member(cluster, content), start
        case steps.ResumeMember(_, content):
            return commands.resume_member(cluster, content), 30.0
        case steps.FormMember(_, _, content):
            return commands.form_member(cluster, content), start
        case steps.EnableMember():
            return commands.enable_member(cluster), 30.0
        case steps.StopMember(_, content):
            return commands.stop_member(cluster, content), stop
        case steps.HaltMember():
            return commands.stop_member(cluster), stop
        case steps.FinishBootstrap():
            return commands.finish_bootstrap(cluster, _pinned(site)), 30.0
    raise StepFailed(f"no effect is known for the step {step.name!r}", where=step.host)


def _start_member(step: Step, site: EtcdSite) -> str:
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


def _await_member(host: str, site: EtcdSite) -> str:
    """Wait for a member; the last look is one at all hosts. Where it has ended, its log says why."""
    began = time.monotonic()
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
            commands.member_log(site.cluster, since), what="read the member's log", check=False
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
    script = commands.install_release(cluster, step.version, release.sha256)
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


def _withdraw_member(host: str, site: EtcdSite) -> str:
    """Take a young member off its host; the cluster that was to be has no identity any more."""
    script = commands.withdraw_member(site.cluster, site.stamp)
    limit = site.cluster.systemd.stop_timeout_s + 10.0
    site.change(host, script, what=steps.WithdrawMember.title, timeout=limit)
    unpin_cluster_id(site.db, site.cluster.name, now=datetime.now(UTC))
    return ""


def _pin_cluster(site: EtcdSite) -> str:
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
