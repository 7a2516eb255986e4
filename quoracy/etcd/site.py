"""What the steps of an operation on an etcd cluster work with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from quoracy.etcd.facts_cluster import EtcdFacts
from quoracy.etcd.spec import EtcdCluster, ReleaseSourceSpec
from quoracy.home import Home
from quoracy.operation.site import Site
from quoracy.releases.source import UPSTREAM_URL, DirectorySource, ReleaseSource
from quoracy.releases.url import UrlSource
from quoracy.secrets import DEFAULT, Resolver, resolve
from quoracy.stores.directory import DirectoryStore
from quoracy.stores.store import SnapshotStore


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdSite(Site):
    """One etcd cluster and its hosts.

    Attributes:
        look: Asks all hosts; what they say also serves the planning that follows.
        recent: What was seen within the last second, or such a look.
    """

    cluster: EtcdCluster
    look: Callable[[], EtcdFacts]
    recent: Callable[[], EtcdFacts]


def release_source(wanted: ReleaseSourceSpec, home: Home) -> ReleaseSource:
    """Where the spec takes releases from."""
    if wanted.directory:
        return DirectorySource(Path(wanted.directory))
    return UrlSource(wanted.url or UPSTREAM_URL, home.releases)


def snapshot_store(
    cluster: EtcdCluster, home: Home, resolvers: Mapping[str, Resolver] = DEFAULT
) -> SnapshotStore:
    """Where the spec keeps snapshots; secrets are resolved now.

    Raises:
        UsageError: A reference to a secret cannot be resolved.
    """
    wanted = cluster.backup
    if wanted.s3 is None:
        return DirectoryStore(Path(wanted.directory or home.path / "snapshots"))
    from quoracy.stores.s3 import S3Store  # importing boto3 takes long

    return S3Store(
        wanted.s3.endpoint or f"https://s3.{wanted.s3.region}.amazonaws.com",
        wanted.s3.bucket,
        wanted.s3.prefix,
        wanted.s3.region,
        resolve(wanted.s3.access_key, resolvers),
        resolve(wanted.s3.secret_key, resolvers),
    )
