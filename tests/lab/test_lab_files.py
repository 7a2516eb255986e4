"""The files a lab writes, and the directories it must not touch."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_ssh_private_key,
)

from lab import keys
from lab.files import LabFiles
from lab.layout import lay_out
from quoracy.errors import UsageError


def test_a_directory_of_the_users_own_is_neither_claimed_nor_removed(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    files = LabFiles(tmp_path)
    with pytest.raises(UsageError, match="belongs to no lab"):
        files.require_ours()
    files.remove()
    assert (tmp_path / "thesis.tex").exists()


def test_a_claimed_directory_can_be_claimed_again_and_is_empty_then(tmp_path: Path) -> None:
    files = LabFiles(tmp_path / "lab")
    for _ in range(2):
        files.require_ours()
        files.claim()
        files.write_key()
    files.claim()
    assert not files.key_file.exists()
    files.remove()
    assert not files.directory.exists()


def test_the_key_is_for_its_owner_alone_and_matches_its_public_half(tmp_path: Path) -> None:
    files = LabFiles(tmp_path)
    files.write_key()
    assert files.key_file.stat().st_mode & 0o777 == 0o600
    private = load_ssh_private_key(files.key_file.read_bytes(), password=None)
    public = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    assert files.public_key.read_bytes() == public + b"\n"


def test_every_key_is_another() -> None:
    assert keys.new_key().private != keys.new_key().private


def test_cluster_yaml(tmp_path: Path) -> None:
    files = LabFiles(tmp_path)
    files.write_spec(lay_out("demo", 0, 2), Path("/cache/archives"))
    assert yaml.safe_load(files.cluster_yaml.read_text()) == {
        "kind": "etcd",
        "name": "demo",
        "version": "3.4.23",
        "ssh": {
            "user": "root",
            "port": 22,
            "key_file": f"{tmp_path}/id_ed25519",
            "known_hosts": f"{tmp_path}/known_hosts",
        },
        "hosts": [
            {"name": "demo-1", "address": "198.51.100.2"},
            {"name": "demo-2", "address": "198.51.100.3"},
        ],
        "release": {"directory": "/cache/archives"},
        "backup": {"directory": f"{tmp_path}/backups"},
    }
