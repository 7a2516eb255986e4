"""Which version may follow which."""

from __future__ import annotations

import pytest

from quoracy.etcd.checks_versions import check_path, check_target, triple
from quoracy.operation.verdict import Status
from tests.etcd_factories import reasons

PASS = None


@pytest.mark.parametrize(
    ("running", "target", "reason"),
    [
        ([], "3.5.16", PASS),
        (["3.5.16"] * 3, "3.5.16", PASS),
        (["3.4.23"] * 3, "3.4.45", PASS),
        (["3.4.23"] * 3, "3.5.16", PASS),
        (["3.4.23"] * 3, "3.6.14", "MinorSkipped"),
        (["3.4.23"] * 3, "3.7.1", "MinorSkipped"),
        (["3.4.23", "3.5.33", "3.5.33"], "3.6.14", "MinorSkipped"),
        (["3.5.33"] * 3, "3.7.1", "MinorSkipped"),
        (["3.5.30"] * 3, "3.5.16", PASS),
        (["3.5.31"] * 3, "3.6.14", "UpgradeFloor"),
        (["3.5.33", "3.5.31", "3.5.33"], "3.6.14", "UpgradeFloor"),
        (["3.5.32"] * 3, "3.6.14", PASS),
        (["3.6.10"] * 3, "3.7.1", "UpgradeFloor"),
        (["3.6.11"] * 3, "3.7.1", PASS),
        (["3.5.16"] * 3, "3.4.45", "DowngradeRefused"),
        (["3.6.14"] * 3, "3.5.33", "DowngradeRefused"),
        # Mixed: forward, and back while one old member is left.
        (["3.4.23", "3.5.16", "3.5.16"], "3.5.16", PASS),
        (["3.4.23", "3.5.16", "3.5.16"], "3.4.23", PASS),
        (["3.5.32", "3.6.14", "3.6.14"], "3.6.14", PASS),
        (["3.5.32", "3.6.14", "3.6.14"], "3.5.32", PASS),
        (["3.5.0-alpha.0"], "3.5.16", PASS),
    ],
)
def test_path(running: list[str], target: str, reason: str | None) -> None:
    verdict = check_path(running, target)
    assert (verdict.reason if verdict.stops else PASS) == reason


def test_a_skipped_minor_names_the_stop_on_the_way() -> None:
    assert "deploy a 3.5 release first" in check_path(["3.4.23"], "3.6.14").next_step
    assert "3.5.32 or a later" in check_path(["3.5.16"], "3.6.14").next_step


@pytest.mark.parametrize("last", [0, 1, 2, 3, 4, 5])
def test_known_bad_releases_of_3_5(last: int) -> None:
    version = f"3.5.{last}"
    assert reasons(check_target(version)) == ["VersionKnownBad"]
    assert reasons(check_target(version, allow_bad_version=True)) == []


@pytest.mark.parametrize("version", ["3.6.0", "3.6.3"])
def test_known_bad_releases_of_3_6(version: str) -> None:
    assert reasons(check_target(version)) == ["VersionKnownBad"]


@pytest.mark.parametrize(
    "version", ["3.4.23", "3.5.6", "3.5.16", "3.5.30", "3.5.33", "3.6.4", "3.6.14", "3.7.1"]
)
def test_releases_that_may_be_deployed(version: str) -> None:
    assert reasons(check_target(version)) == []


@pytest.mark.parametrize("version", ["3.3.25", "2.3.8", "3.8.0", "4.0.0"])
def test_unknown_minors_are_refused(version: str) -> None:
    assert reasons(check_target(version)) == ["VersionUnsupported"]
    assert reasons(check_target(version, allow_bad_version=True)) == ["VersionUnsupported"]


@pytest.mark.parametrize(
    ("version", "warning"),
    [
        ("3.4.45", ["VersionEndOfLife"]),
        ("3.5.32", ["VersionHasAdvisories"]),
        ("3.5.33", []),
        ("3.6.13", ["VersionHasAdvisories"]),
        ("3.6.14", []),
        ("3.7.0", ["VersionHasAdvisories"]),
        ("3.7.1", []),
    ],
)
def test_warnings(version: str, warning: list[str]) -> None:
    found = [v.reason for v in check_target(version) if v.status is Status.WARN]
    assert found == warning


def test_versions_are_numbers_not_text() -> None:
    assert triple("3.5.9") < triple("3.5.16")
    assert triple("3.5.16-rc.1") == (3, 5, 16)


def test_a_stopped_member_counts_for_the_way_up_and_never_for_the_way_back() -> None:
    assert check_path(["3.6.14"], "3.5.33", stopped=["3.5.33"]).reason == "DowngradeRefused"
    assert check_path(["3.5.33"], "3.6.14", stopped=["3.4.23"]).reason == "MinorSkipped"
    assert check_path(["3.6.14", "3.5.33"], "3.5.33").reason != "DowngradeRefused"
