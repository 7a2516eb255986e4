"""States that a deploy cannot finish, each with the command that can. Pure.

What lies on a host is compared with what the members and the database say of it: a disk that was
wiped, a configuration that is gone, a member that never started, places that have moved.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quoracy.etcd.facts import EtcdHostFacts
from quoracy.etcd.facts_cluster import EtcdFacts, Presence, presence
from quoracy.etcd.plan.member import settings
from quoracy.etcd.spec import EtcdCluster, EtcdHost
from quoracy.etcd.templates import peer_url, render_generation
from quoracy.operation.verdict import Verdict, failed

NO_REPLACING = "replacing a member is not built yet; the other members go on without it"
NO_SCALING = (
    "a deploy never changes the members. Adding one is not built yet; to remove one: "
    "`etcdctl member remove`, then take its host out of the spec"
)
# Where a member lies and listens: other members and its own disk depend on them.
_PLACES = (
    "data-dir",
    "wal-dir",
    "listen-client-urls",
    "listen-peer-urls",
    "initial-advertise-peer-urls",
)


def check_half_states(
    cluster: EtcdCluster, facts: EtcdFacts, pinned_cluster_id: str | None
) -> list[Verdict]:
    """Verdicts on every host that is neither absent nor a member as a deploy knows it."""
    moved = [v for host in cluster.hosts if (v := _moved(cluster, host, facts)) is not None]
    if moved:
        return moved  # whatever else looks odd follows from looking in the wrong place
    pinned = frozenset([pinned_cluster_id] if pinned_cluster_id else [])
    ids = facts.cluster_ids | _marked(facts) | pinned
    served = bool(pinned | _marked(facts))
    states = _states(facts, served=served)
    verdicts = [
        verdict
        for name, heard in facts.heard.items()
        if (verdict := _of_host(cluster, name, heard, states[name], ids)) is not None
    ]
    if served and set(states.values()) != {"absent"}:
        verdicts += _lacking(cluster, facts, states)
    return verdicts + _not_voting(cluster, facts)


def _states(facts: EtcdFacts, *, served: bool) -> dict[str, Presence]:
    """Which state of life each member is in.

    Args:
        served: Whether all members have served together: only then is the cluster's ID pinned and
            are members marked with it. From then on a host without a log has lost it, however far
            the create had come there.
    """
    states = {name: presence(host) for name, host in facts.hosts.items()}
    if served:
        lost = (name for name, host in facts.heard.items() if host.bootstrap and not host.has_log)
        states |= dict.fromkeys(lost, "forgotten")
    return states


def _marked(facts: EtcdFacts) -> frozenset[str]:
    told = (host.config_cluster_id for host in facts.heard.values())
    return frozenset(cluster_id for cluster_id in told if cluster_id)


def _moved(cluster: EtcdCluster, host: EtcdHost, facts: EtcdFacts) -> Verdict | None:
    """Ports, addresses and directories of a living member are not a deploy's to change."""
    heard = facts.heard.get(host.name)
    if heard is None:
        return None
    if heard.unit_file and f"{cluster.config_dir}/current/" not in heard.unit_file:
        return _has_moved(host, f"{cluster.unit} does not start from {cluster.config_dir}")
    config = heard.process.config if heard.process else heard.config
    if heard.bootstrap is not None or config is None:
        return None
    found, wanted = settings(config), settings(render_generation(cluster, host).config)
    for key in _PLACES:
        if found and found.get(key) != wanted.get(key):
            before, after = _shown(found, key), _shown(wanted, key)
            return _has_moved(host, f"{key} is {before}, and {after} in the spec")
    return None


def _shown(values: Mapping[str, Any], key: str) -> str:
    return str(values.get(key, "inside the data directory" if key == "wal-dir" else "unset"))


def _has_moved(host: EtcdHost, what: str) -> Verdict:
    return failed(
        "PlacesDiffer",
        f"{what}; a deploy does not move members",
        where=host.name,
        next_step="put ports, addresses and directories in the spec back to what they were",
    )


def _of_host(
    cluster: EtcdCluster, name: str, heard: EtcdHostFacts, state: Presence, ids: frozenset[str]
) -> Verdict | None:
    if state == "forgotten":
        return failed(
            "LogMissing",
            f"the member is set up but its log in {cluster.wal_dir} is gone (wiped, or a mount is missing?)",
            where=name,
            next_step=f"mount the disk; without its log it must not vote again; {NO_REPLACING}",
        )
    if state == "foreign" and heard.config_cluster_id is None and heard.data_cluster_id in ids:
        return failed(
            "ConfigurationLost",
            f"the data of this member is there, but {cluster.config_dir} is gone",
            where=name,
            next_step=f"bring the directory back from a backup of the host; {NO_REPLACING}",
        )
    if state == "foreign" and heard.config_cluster_id and heard.data_cluster_id is None:
        return failed(
            "DataMissing",
            f"the member has its log, but {cluster.data_dir} lacks its data (is a mount missing?)",
            where=name,
            next_step=f"mount the disk; {NO_REPLACING}",
        )
    if state == "foreign":
        what = f"{cluster.data_dir} holds data that does not belong to this cluster"
        return failed(
            "ForeignData",
            f"{what}: {', '.join(heard.old_data)}" if heard.old_data else what,
            where=name,
            next_step="look whose it is; a new cluster needs a directories.data (and directories.wal) of its own",
        )
    return None


def _lacking(
    cluster: EtcdCluster, facts: EtcdFacts, states: Mapping[str, Presence]
) -> list[Verdict]:
    """Hosts that carry nothing of a cluster that has served."""
    known = {url for entry in facts.members or () for url in entry.peer_urls}
    verdicts = []
    for name in (name for name, state in states.items() if state == "absent"):
        if peer_url(cluster, cluster.host(name)) in known:
            verdicts.append(
                failed(
                    "MemberWiped",
                    "it carries nothing, but the cluster still counts it as a member",
                    where=name,
                    next_step=NO_REPLACING,
                )
            )
        else:
            verdicts.append(
                failed(
                    "TopologyDiffers",
                    "the spec names this host but it carries no member of the cluster",
                    where=name,
                    next_step=NO_SCALING,
                )
            )
    return verdicts


def _not_voting(cluster: EtcdCluster, facts: EtcdFacts) -> list[Verdict]:
    """Members on their way in: listed and never started, or learners. A roll would wait in vain."""
    learners = {name for name, status in facts.statuses.items() if status.learner}
    learners |= {entry.name for entry in facts.members or () if entry.learner and entry.name}
    verdicts = [
        failed(
            "LearnerFound",
            "the member is a learner: it does not vote yet",
            where=name,
            next_step=NO_SCALING,
        )
        for name in sorted(learners)
    ]
    verdicts += [
        failed(
            "NeverStarted",
            f"the cluster counts a member at {', '.join(entry.peer_urls)} that has never started",
            next_step=NO_SCALING,
        )
        for entry in facts.members or ()
        if not entry.name and not _is_wiped(cluster, facts, entry.peer_urls)
    ]
    return verdicts


def _is_wiped(cluster: EtcdCluster, facts: EtcdFacts, urls: tuple[str, ...]) -> bool:
    """Whether the host at these URLs is one of the spec's that carries nothing: said already."""
    return any(
        peer_url(cluster, host) in urls and presence(facts.hosts[host.name]) == "absent"
        for host in cluster.hosts
    )
