"""Can a release be had? Asked before anything is changed, and answered without touching a host."""

from __future__ import annotations

from collections.abc import Iterable

from quoracy.errors import ReleaseError, UsageError
from quoracy.operation.verdict import Verdict, failed
from quoracy.releases.archive import check_archive
from quoracy.releases.source import ReleaseSource


def check_releases(
    source: ReleaseSource, wanted: Iterable[tuple[str, str]], *, download: bool
) -> list[Verdict]:
    """Verdicts on the archives that an operation will install; empty when all can be had.

    Args:
        source: Where they come from.
        wanted: Version and architecture (amd64, arm64) of each.
        download: Whether to fetch and list what is not on the controller yet. Without it only the
            published checksum is asked for, which a plan can afford.
    """
    verdicts = []
    for version, arch in sorted(set(wanted)):
        try:
            if download or source.is_here(version, arch):
                check_archive(source.fetch(version, arch).archive, version)
            else:
                source.checksum(version, arch)
        except (ReleaseError, UsageError) as error:
            what = f"etcd {version} for {arch} cannot be installed: {error.what}"
            verdicts.append(
                failed("ReleaseUnusable", what, where=error.where, next_step=error.next_step)
            )
    return verdicts
