"""A verified snapshot: saved on a host, read back byte by byte, kept in the store, catalogued.

Before one member is believed, the data of all that serve is compared (law 12). A snapshot counts only
when its sha256 trailer fits and its revision is at or above the highest that was seen before it was asked
for (law 2). `snapshot status` is no integrity check: it accepts truncated files. The trailer is: the file
is the database followed by 32 bytes of its sha256.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime

from quoracy.db.snapshots import NewSnapshot, record_snapshot
from quoracy.errors import BackupFailed, LeaseHeld, QuoracyError
from quoracy.etcd.compare import compare_data, seconds_to_read
from quoracy.etcd.facts_answers import SavedSnapshot, parse_saved
from quoracy.etcd.scripts import snapshot_path
from quoracy.etcd.scripts_etcdctl import endpoint_status, snapshot_save, snapshot_status
from quoracy.etcd.site import EtcdSite, snapshot_store
from quoracy.etcd.steps import TakeSnapshot
from quoracy.hosts.limits import MIB, snapshot_bytes
from quoracy.hosts.looks import understood
from quoracy.hosts.script import script
from quoracy.operation.verdict import require

TRAILER = 32
PAGE = 512  # bbolt's pages are multiples of this, so a whole file is a multiple plus the trailer


class TrailerCheck:
    """Reads a snapshot as it streams by and tells whether its trailer fits; 32 bytes of memory."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._held = b""
        self.size = 0

    def watch(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Pass the chunks on, and raise after the last one when the trailer does not fit.

        Raises:
            BackupFailed: The file is truncated, corrupt, or has no trailer.
        """
        for chunk in chunks:
            self.size += len(chunk)
            seen = self._held + chunk
            self._digest.update(seen[:-TRAILER])
            self._held = seen[-TRAILER:]
            yield chunk
        if self.size % PAGE != TRAILER or self._digest.digest() != self._held:
            raise BackupFailed(
                f"the snapshot of {self.size} bytes is damaged: its sha256 trailer does not fit",
                next_step="run again; when it persists, look for disk errors on the member's host",
            )


def take_snapshot(step: TakeSnapshot, site: EtcdSite) -> str:
    """Take, verify, store and catalogue a snapshot through the step's member.

    Returns:
        One line for the journal.

    Raises:
        BackupFailed: There is no verified snapshot.
        LeaseHeld: Another operation acts on the cluster.
        Refused: The members hold different data, so that no one member's is the cluster's.
    """
    require([compare_data(site.cluster, site.pool, site.recent)])
    path = snapshot_path(site.cluster, site.stamp)
    try:
        return _take(step, site, path)
    except LeaseHeld:
        raise
    except QuoracyError as error:
        _remove(step, site, path, error)
        if isinstance(error, BackupFailed):
            raise
        raise BackupFailed(
            f"no snapshot could be taken, so nothing was changed: {error.what}",
            where=error.where or step.host,
            next_step=error.next_step or "put right what failed and run again",
        ) from error


def _take(step: TakeSnapshot, site: EtcdSite, path: str) -> str:
    cluster = site.cluster
    status = _save(step, site, path)
    if status.revision < step.least_revision:
        raise BackupFailed(
            f"the snapshot is at revision {status.revision}, older than {step.least_revision}",
            where=step.host,
            next_step="run again when the member has caught up",
        )
    check = TrailerCheck()
    taken_at = datetime.now(UTC)
    key = f"{cluster.name}/{taken_at:%Y/%m}/{cluster.name}-{taken_at:%Y-%m-%dT%H-%M-%SZ}-{site.stamp[:8]}.db"
    source = site.pool[step.host].receive(
        f"cat {path}",
        what="fetch the snapshot",
        timeout=_limit(step),
        limit=snapshot_bytes(step.db_bytes),
    )
    store = snapshot_store(cluster, site.home, site.resolvers)
    stored = store.put(key, check.watch(source))
    site.change(step.host, script(("rm", "-f", path)), what="remove the fetched snapshot")
    record_snapshot(
        site.db,
        NewSnapshot(
            cluster=cluster.name,
            cluster_id=status.cluster_id,
            revision=status.revision,
            size_bytes=stored.size,
            sha256=stored.sha256,
            etcd_version=status.version,
            location=stored.url,
            member=step.host,
            taken_at=taken_at,
            operation_id=site.stamp,
        ),
    )
    return f"revision {status.revision}, {stored.size} bytes, {stored.url}"


def _too_large(path: str, limit: int) -> str:
    """What is done when it could not be saved: say so when that is why."""
    told = f"it is larger than {limit // MIB} MiB, far more than the member told of its database"
    return (
        f"{{ code=$?; for f in {path}*; do "
        f'[ ! -e "$f" ] || [ "$(stat -c %s "$f")" -lt {limit // 512 * 512} ] || echo "{told}" >&2; done; '
        "exit $code; }"
    )


def _limit(step: TakeSnapshot) -> int:
    """Seconds that saving or fetching may take."""
    return seconds_to_read(step.db_bytes)


def _remove(step: TakeSnapshot, site: EtcdSite, path: str, because: QuoracyError) -> None:
    """Leave no file behind on the host; when that fails as well, the first error says so."""
    try:
        site.change(step.host, script(("rm", "-f", path)), what="remove the unfinished snapshot")
    except QuoracyError as error:
        because.add_note(f"and {path} is left on {step.host}: {error}")


def _save(step: TakeSnapshot, site: EtcdSite, path: str) -> SavedSnapshot:
    """Save the snapshot on the host; the revision it holds at least, and whose it is.

    The member is asked for its revision before it saves, and what it saves is at least that. What it saves
    is bounded by the size that it told when the plan was made.
    """
    cluster = site.cluster
    limit = snapshot_bytes(step.db_bytes)
    output = site.change(
        step.host,
        script(
            # The member is etcd's process: it must not fill the disk that root's files are on.
            f"ulimit -f {limit // 512}",
            f"rm -f {snapshot_path(cluster, '')[:-3]}*",
            endpoint_status(cluster),
            f"{shlex.join(snapshot_save(cluster, path, _limit(step)))} >&2 || {_too_large(path, limit)}",
            snapshot_status(cluster, path),
        ),
        what="save a snapshot",
        timeout=_limit(step) + 60.0,
    )
    return understood(output, parse_saved, what="save a snapshot", host=step.host)
