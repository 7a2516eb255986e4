"""Archives in upstream's layout."""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path

import pytest

from lab.archives import Wanted, checksums, pack, satisfies, version_of


@pytest.mark.parametrize(
    ("package", "version"),
    [
        ("etcd-server_3.4.23-4+b4_amd64.deb", (3, 4, 23)),
        ("etcd-server_3.3.25+dfsg-6_amd64.deb", (3, 3, 25)),
        ("etcd-client_1%3a3.5.30-2_arm64.deb", (3, 5, 30)),
        ("etcd-server_unstable_amd64.deb", None),
    ],
)
def test_version_in_the_name_of_a_package(
    package: str, version: tuple[int, int, int] | None
) -> None:
    assert version_of(package) == version


def test_newer_patches_satisfy_and_other_minors_do_not() -> None:
    wanted = Wanted(("forky",), (3, 5, 30))
    assert satisfies(wanted, (3, 5, 30))
    assert satisfies(wanted, (3, 5, 33))
    assert not satisfies(wanted, (3, 5, 16))
    assert not satisfies(wanted, (3, 6, 14))
    assert not satisfies(wanted, None)


def test_layout_is_upstreams_and_the_bytes_are_always_the_same(tmp_path: Path) -> None:
    files = {"etcdctl": b"two", "etcd": b"one", "README.md": b"three"}
    backwards = dict(reversed(files.items()))
    pack(tmp_path / "a.tar.gz", "etcd-v3.4.23-linux-amd64", files)
    pack(tmp_path / "b.tar.gz", "etcd-v3.4.23-linux-amd64", backwards)
    assert (tmp_path / "a.tar.gz").read_bytes() == (tmp_path / "b.tar.gz").read_bytes()
    with tarfile.open(tmp_path / "a.tar.gz") as tar:
        assert [(entry.name, entry.mode, entry.uid) for entry in tar] == [
            ("etcd-v3.4.23-linux-amd64", 0o755, 0),
            ("etcd-v3.4.23-linux-amd64/README.md", 0o644, 0),
            ("etcd-v3.4.23-linux-amd64/etcd", 0o755, 0),
            ("etcd-v3.4.23-linux-amd64/etcdctl", 0o755, 0),
        ]


def test_checksums_read_as_sha256sum_writes_them(tmp_path: Path) -> None:
    (tmp_path / "b.tar.gz").write_bytes(b"b")
    (tmp_path / "a.tar.gz").write_bytes(b"a")
    digests = [hashlib.sha256(name).hexdigest() for name in (b"a", b"b")]
    assert checksums(tmp_path) == f"{digests[0]}  a.tar.gz\n{digests[1]}  b.tar.gz\n"
