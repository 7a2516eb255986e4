"""What a plan expects on a host when a generation comes into use: its files, the unit, the trusted CA. Pure."""

from __future__ import annotations

from quoracy.etcd.facts import EtcdHostFacts
from quoracy.etcd.facts_cluster import EtcdFacts
from quoracy.etcd.scripts_staged import sha256, staged_content, unit_digest, with_files
from quoracy.etcd.spec import EtcdCluster, EtcdHost
from quoracy.etcd.templates import Generation, render_generation
from quoracy.operation.verdict import Verdict, warned


def wanted_content(cluster: EtcdCluster, host: EtcdHost) -> str:
    """What the wanted generation holds."""
    return staged_content(cluster, render_generation(cluster, host))


def found_content(facts: EtcdHostFacts) -> str:
    """What the generation holds that the host follows; empty when there is no complete one."""
    return facts.staged.get(facts.generation or "", "")


def at_stop(cluster: EtcdCluster, content: str, facts: EtcdHostFacts) -> str:
    """What must be there before a member is stopped; of certificates only the CA is read once, at a start."""
    ca = facts.certificates.get("ca.pem")
    return with_files(content, {f"{cluster.config_dir}/tls/ca.pem": sha256(ca)} if ca else {})


def at_start(cluster: EtcdCluster, content: str, unit_file: str | None = None) -> str:
    """What must be in use when a member is started.

    Args:
        unit_file: The unit as it lies there; by default the copy of the generation's that a switch makes.
    """
    digest = unit_digest(content) if unit_file is None else sha256(unit_file.encode())
    return with_files(content, {f"/etc/systemd/system/{cluster.unit}": digest})


def edited_warnings(cluster: EtcdCluster, facts: EtcdFacts) -> list[Verdict]:
    """Hosts whose files in use are neither the wanted ones nor those that their generation is named after."""
    return [
        warned(
            "GenerationEdited",
            f"the files of generation {heard.generation} were edited on the host since they were "
            "deployed; as they are now, they are what it is started with or put back to",
            where=host.name,
        )
        for host in cluster.hosts
        if (heard := facts.heard.get(host.name)) is not None
        and heard.generation != render_generation(cluster, host).identity
        and _edited(heard)
    ]


def _edited(facts: EtcdHostFacts) -> bool:
    found = (facts.version, facts.config, facts.unit_file, facts.pre_start)
    whole = [text for text in found if text is not None]
    return len(whole) == len(found) and Generation(*whole).identity != facts.generation
