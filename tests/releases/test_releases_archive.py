"""Archives of upstream's layout, and those that no host may unpack."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from quoracy.errors import ReleaseError
from quoracy.releases.archive import check_archive
from tests.releases.release_server import TOP, VERSION, entry, pack, release

GOOD = [entry(f"{TOP}/etcd"), entry(f"{TOP}/etcdctl")]


def check(tmp_path: Path, content: bytes, version: str = VERSION) -> tuple[str, ...]:
    path = tmp_path / "archive.tar.gz"
    path.write_bytes(content)
    return check_archive(path, version)


def test_binaries_of_each_line(tmp_path: Path) -> None:
    assert check(tmp_path, release()) == ("etcd", "etcdctl", "etcdutl")
    old = release("etcdctl", "etcd", "Documentation/README.md", top="etcd-v3.4.23-linux-arm64")
    assert check(tmp_path, old, "3.4.23") == ("etcd", "etcdctl")


def test_folders_need_no_entry_and_may_begin_with_a_dot(tmp_path: Path) -> None:
    assert check(tmp_path, pack(*GOOD)) == ("etcd", "etcdctl")
    dotted = [entry(".", tarfile.DIRTYPE), entry(f"./{TOP}/etcd"), entry(f"./{TOP}/etcdctl")]
    assert check(tmp_path, pack(*dotted)) == ("etcd", "etcdctl")


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (entry("/etc/passwd"), "leads out of"),
        (entry(f"{TOP}/../../x"), "leads out of"),
        (entry("../x"), "leads out of"),
        (entry(".."), "leads out of"),
        (entry(f"{TOP}/link", tarfile.SYMTYPE, "/etc"), "neither file nor folder"),
        (entry(f"{TOP}/link", tarfile.LNKTYPE, f"{TOP}/etcd"), "neither file nor folder"),
        (entry(f"{TOP}/pipe", tarfile.FIFOTYPE), "neither file nor folder"),
        (entry(f"{TOP}/disk", tarfile.BLKTYPE), "neither file nor folder"),
        (entry(f"{TOP}/tty", tarfile.CHRTYPE), "neither file nor folder"),
        (entry("loose"), "outside of a folder"),
        (entry("other/file"), "2 folders"),
        (entry("other", tarfile.DIRTYPE), "2 folders"),
    ],
)
def test_entries_that_no_host_may_unpack(tmp_path: Path, bad: tarfile.TarInfo, why: str) -> None:
    for entries in ([*GOOD, bad], [bad, *GOOD]):
        with pytest.raises(ReleaseError, match=why):
            check(tmp_path, pack(*entries))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (release("etcd", "README.md"), "etcdctl is not in"),
        (release("README.md"), "etcd and etcdctl is not in"),
        (release("bin/etcd", "bin/etcdctl"), "etcd and etcdctl is not in"),
        (pack(entry(f"{TOP}/etcd", tarfile.DIRTYPE), entry(f"{TOP}/etcdctl")), "etcd is not in"),
        (release(top="etcd-v3.5.17-linux-amd64"), "not that of version 3.5.16"),
        (release(top="etcd-v3.5.1-linux-amd64"), "not that of version 3.5.16"),
        (pack(), "0 folders"),
        (b"", "cannot be read"),
        (b"not an archive", "cannot be read"),
        (release()[:-30], "cannot be read"),
    ],
)
def test_archives_that_are_no_release(tmp_path: Path, content: bytes, why: str) -> None:
    with pytest.raises(ReleaseError, match=why) as caught:
        check(tmp_path, content)
    assert caught.value.where == str(tmp_path / "archive.tar.gz")


def test_empty_binary(tmp_path: Path) -> None:
    empty = entry(f"{TOP}/etcd")
    empty.size = 0
    with pytest.raises(ReleaseError, match="etcd is not in"):
        check(tmp_path, pack(empty, entry(f"{TOP}/etcdctl")))


def test_archive_cut_anywhere(tmp_path: Path) -> None:
    whole = release()
    for end in range(1, len(whole), 5):
        with pytest.raises(ReleaseError):
            check(tmp_path, whole[:end])


def test_missing_archive(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="No such file"):
        check_archive(tmp_path / "none", VERSION)
