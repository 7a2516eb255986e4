"""Which etcd version may follow which: data with sources, and the rule that reads it. Pure.

Sources: etcd.io/docs upgrade_3_5 … upgrade_3_7 and the downgrade guides; CHANGELOG-3.5, -3.6;
etcd.io/blog/2025/zombie_members_upgrade; blog/2026/july-23-patch-release.
"""

from __future__ import annotations

from collections.abc import Iterable

from quoracy.operation.verdict import Verdict, failed, passed, warned

Triple = tuple[int, int, int]

# Every member must be at or above the floor before the cluster may go to the next minor.
UPGRADE_FLOORS: dict[tuple[int, int], tuple[Triple, str]] = {
    (3, 6): ((3, 5, 32), "older 3.5 members can bring removed members back (etcd#20967)"),
    (3, 7): ((3, 6, 11), "the guide of 3.7 asks for it"),
}
# First and last version of each range, inclusive, and what is wrong with it.
KNOWN_BAD: tuple[tuple[Triple, Triple, str], ...] = (
    ((3, 5, 0), (3, 5, 2), "members can end up with different data under load (etcd#13766)"),
    (
        (3, 5, 3),
        (3, 5, 5),
        "killed during a defragmentation, it comes back with wrong revisions (etcd#14685)",
    ),
    ((3, 6, 0), (3, 6, 3), "it can fail to start when it replays a promotion (CHANGELOG-3.6)"),
)
SECURITY_FLOORS: dict[tuple[int, int], Triple] = {
    (3, 5): (3, 5, 33),
    (3, 6): (3, 6, 14),
    (3, 7): (3, 7, 1),
}
OLDEST, NEWEST = (3, 4), (3, 7)


def triple(version: str) -> Triple:
    """Major, minor and patch of "3.5.16"; of a pre-release, those of the release it leads to."""
    major, minor, patch = (int(part) for part in version.partition("-")[0].split("."))
    return major, minor, patch


def check_target(version: str, *, allow_bad_version: bool = False) -> list[Verdict]:
    """Whether the version may be deployed at all, wherever the cluster stands now."""
    target = triple(version)
    verdicts: list[Verdict] = []
    if not OLDEST <= target[:2] <= NEWEST:
        verdicts.append(
            failed(
                "VersionUnsupported",
                f"etcd {version} is outside 3.4 to 3.7, which Quoracy knows",
                next_step="choose a version from 3.4 to 3.7",
            )
        )
    for first, last, why in KNOWN_BAD:
        if first <= target <= last and not allow_bad_version:
            verdicts.append(
                failed(
                    "VersionKnownBad",
                    f"etcd {version} is known to be bad: {why}",
                    next_step="choose a newer patch release (or --allow-bad-version)",
                )
            )
    floor = SECURITY_FLOORS.get(target[:2])
    if target[:2] == (3, 4):
        verdicts.append(warned("VersionEndOfLife", "etcd 3.4 gets no more fixes"))
    elif floor and target < floor:
        newest = ".".join(map(str, floor))
        verdicts.append(
            warned("VersionHasAdvisories", f"etcd {version} lacks the security fixes of {newest}")
        )
    return verdicts


def check_path(running: Iterable[str], version: str, *, stopped: Iterable[str] = ()) -> Verdict:
    """Whether a cluster whose members run these versions may go to `version`.

    The cluster's own version is the lowest minor of its members: while one old member is left,
    the others may go back to it.

    Args:
        stopped: Versions that members without an answer would start with. They count for the way
            up, never for the way back: the cluster's version may have risen without them.
    """
    told = sorted({triple(one) for one in running})
    found = sorted({*told, *(triple(one) for one in stopped)})
    target = triple(version)
    if not found or found == [target]:
        return passed("VersionReached", f"etcd {version}")
    lowest = found[0]
    shown = ", ".join(".".join(map(str, one)) for one in found)
    if target[:2] < (told or found)[0][:2]:
        return failed(
            "DowngradeRefused",
            f"the cluster runs {shown}; etcd cannot go back to {version} once all members are newer",
            next_step="keep the version, or restore a snapshot taken before the upgrade",
        )
    if target < found[-1] and target[:2] == found[-1][:2]:
        return warned(
            "PatchDowngrade",
            f"the cluster runs {shown}; {version} is an older patch of the same minor",
            next_step="check that the spec's version is the one you want",
        )
    if target[:2] == lowest[:2]:
        return passed("VersionPathOpen", f"{shown} to {version} stays within one minor")
    if target[:2] != (lowest[0], lowest[1] + 1):
        stop = f"{lowest[0]}.{lowest[1] + 1}"
        return failed(
            "MinorSkipped",
            f"from {shown} to {version} skips a minor; etcd goes one minor at a time",
            next_step=f"deploy a {stop} release first",
        )
    floor, why = UPGRADE_FLOORS.get(target[:2], ((0, 0, 0), ""))
    if lowest < floor:
        needed = ".".join(map(str, floor))
        return failed(
            "UpgradeFloor",
            f"all members must run {needed} or later before {version}: {why}; found {shown}",
            next_step=f"deploy {needed} or a later release of the same minor first",
        )
    return passed("VersionPathOpen", f"{shown} to {version}")
