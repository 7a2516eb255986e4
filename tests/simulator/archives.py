"""Releases for simulated hosts: what the controller checks is real, what would run is not."""

from __future__ import annotations

from pathlib import Path

from lab.archives import checksums, pack


def pretend_archives(directory: Path, *versions: str) -> Path:
    """Releases of upstream's layout whose binaries hold nothing but their names."""
    for version in versions:
        top = f"etcd-v{version}-linux-amd64"
        files = {name: name.encode() for name in ("etcd", "etcdctl", "etcdutl")}
        pack(directory / f"{top}.tar.gz", top, files)
    (directory / "SHA256SUMS").write_text(checksums(directory))
    return directory
