"""What a create may take: directories that are not there, or empty and nobody else's. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from quoracy.etcd.facts import EtcdHostFacts
from quoracy.etcd.facts_cluster import EtcdFacts
from quoracy.etcd.facts_places import PlaceFacts
from quoracy.etcd.scripts_places import SHOWN, Place, places
from quoracy.etcd.spec import EtcdCluster
from quoracy.operation.verdict import Verdict, failed, unknown


def check_places(cluster: EtcdCluster, facts: EtcdFacts) -> list[Verdict]:
    """Verdicts on the directories of every host where nothing has been begun yet."""
    return [
        verdict
        for name, heard in facts.heard.items()
        if heard.bootstrap is None and heard.config_cluster_id is None
        for verdict in _of_host(cluster, name, heard)
    ]


def _of_host(cluster: EtcdCluster, name: str, heard: EtcdHostFacts) -> list[Verdict]:
    if "/" not in heard.places:
        return [
            unknown(
                "PlacesUnknown",
                "the host does not tell what lies where the member would go",
                where=name,
                next_step="run again; when it persists, look whether `stat` works there",
            )
        ]
    # Places lie in each other and share what they lie in: each path is said once.
    said: dict[tuple[str, str], Verdict] = {}
    for place in places(cluster):
        for path in (place.path, *place.parents):
            for verdict in _of_path(place, path, heard.places.get(path, PlaceFacts()), name):
                said.setdefault((path, verdict.reason), verdict)
    return list(said.values())


def _of_path(place: Place, path: str, found: PlaceFacts, host: str) -> Iterator[Verdict]:
    if found.kind and found.kind != "directory":
        yield _in_use(place, f"{path} is a {found.kind}, not a directory", host)
    elif found.kind and found.owner not in place.owners:
        of = "" if path == place.path else f", and {place.path} would lie in it"
        yield failed(
            "DirectoryOwned",
            f"{path} belongs to {found.owner}, not to {' or '.join(place.owners)}{of}",
            where=host,
            next_step=f"choose another {place.setting} in the spec",
        )
    if path == place.path and found.strangers:
        more = ", ..." if len(found.strangers) == SHOWN else ""
        yield _in_use(place, f"{path} is in use, it holds {', '.join(found.strangers)}{more}", host)


def _in_use(place: Place, message: str, host: str) -> Verdict:
    return failed(
        "DirectoryInUse",
        message,
        where=host,
        next_step=f"choose another {place.setting} in the spec, which is empty or not there yet",
    )
