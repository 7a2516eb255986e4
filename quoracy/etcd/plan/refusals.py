"""What makes an etcd deploy undecidable: hosts that cannot be asked, data that does not fit. Pure."""

from __future__ import annotations

from quoracy.etcd.checks_alarms import check_corrupt
from quoracy.etcd.checks_versions import check_target
from quoracy.etcd.facts_cluster import EtcdFacts, presence
from quoracy.etcd.plan.half_states import check_half_states
from quoracy.etcd.spec import EtcdCluster
from quoracy.operation.verdict import Verdict, failed, unknown, warned

CLOCK_WARN_S, CLOCK_REFUSE_S = 1.0, 10.0
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
MIN_FREE_BYTES = 256 * 1024**2


def spec_verdicts(cluster: EtcdCluster, *, allow_bad_version: bool) -> list[Verdict]:
    """Verdicts that need no host: the wanted version, the number of members."""
    verdicts = check_target(cluster.version, allow_bad_version=allow_bad_version)
    count = len(cluster.hosts)
    if count % 2 == 0:
        verdicts.append(
            warned(
                "EvenMembers",
                f"{count} members tolerate no more failures than {count - 1}",
                next_step="use an odd number of members",
            )
        )
    return verdicts


def refuse_unusable(
    cluster: EtcdCluster, facts: EtcdFacts, pinned_cluster_id: str | None
) -> list[Verdict]:
    """Reasons why nothing can be planned at all."""
    verdicts = _silent(facts) + _machines(facts)
    verdicts += check_corrupt(facts)
    verdicts += check_half_states(cluster, facts, pinned_cluster_id)
    if not any(verdict.reason == "PlacesDiffer" for verdict in verdicts):
        verdicts += _identity(cluster, facts, pinned_cluster_id)
    return verdicts


def _silent(facts: EtcdFacts) -> list[Verdict]:
    return [
        unknown(
            "HostSilent",
            f"could not be asked: {silent.reason}",
            where=name,
            next_step=silent.next_step or "see that the host is up and that sshd answers",
        )
        for name, silent in facts.silent.items()
    ]


def _machines(facts: EtcdFacts) -> list[Verdict]:
    verdicts = []
    for name, heard in facts.heard.items():
        host = heard.host
        if host.architecture not in ARCHITECTURES:
            verdicts.append(
                failed(
                    "ArchitectureUnknown",
                    f"etcd has no release for {host.architecture}",
                    where=name,
                    next_step=f"use hosts of {' or '.join(ARCHITECTURES)}",
                )
            )
        if not host.systemd:
            verdicts.append(
                failed(
                    "NoSystemd",
                    "systemd does not run there",
                    where=name,
                    next_step="use a host that is booted with systemd",
                )
            )
        off = facts.clocks_off[name]
        if off > CLOCK_REFUSE_S:
            verdicts.append(
                failed(
                    "ClockOff",
                    f"its clock is {off:.0f} s off the controller's",
                    where=name,
                    next_step="set up time synchronisation",
                )
            )
        for path, free in host.free_bytes.items():
            if free < MIN_FREE_BYTES:
                verdicts.append(
                    failed(
                        "DiskFull",
                        f"only {free // 1024**2} MiB free at {path}, 256 are needed",
                        where=name,
                        next_step="free disk space",
                    )
                )
    return verdicts


def _identity(
    cluster: EtcdCluster, facts: EtcdFacts, pinned_cluster_id: str | None
) -> list[Verdict]:
    verdicts = []
    states = {presence(host) for host in facts.hosts.values()}
    ids = facts.cluster_ids | {
        host.config_cluster_id for host in facts.heard.values() if host.config_cluster_id
    }
    if pinned_cluster_id and not ids and states == {"absent"}:
        verdicts.append(
            failed(
                "ClusterVanished",
                f"cluster {pinned_cluster_id} was created here, and no host carries anything of it",
                next_step=f"check that the spec names the right hosts; `quoracy cluster forget {cluster.name}` "
                "lets a new one be created, and restoring a snapshot is not built yet",
            )
        )
    expected = ids | ({pinned_cluster_id} if pinned_cluster_id else set())
    if len(expected) > 1:
        verdicts.append(
            failed(
                "ClusterIdDiffers",
                f"hosts or database name different clusters: {', '.join(sorted(expected))}",
                next_step="check that the spec names the right hosts",
            )
        )
    return verdicts


def clock_warnings(facts: EtcdFacts) -> list[Verdict]:
    """Clocks that are off by little: etcd bears it, logs and leases get confusing."""
    return [
        warned("ClockOff", f"its clock is {off:.1f} s off the controller's", where=name)
        for name, off in facts.clocks_off.items()
        if CLOCK_WARN_S < off <= CLOCK_REFUSE_S
    ]
