"""Trees of code on disk, made from plain data, and what GNU tar makes of a stream."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from quoracy.services.code.stream import deleted_list

Content = bytes | str | None
"""Bytes of a file, target of a link, None for an empty directory."""


def plant(root: Path, tree: Mapping[bytes, Content], *, executable: Iterable[bytes] = ()) -> Path:
    """Make the tree below `root`, which may be there already."""
    made: set[Path] = set()
    for name, content in tree.items():
        path = root / os.fsdecode(name)
        directory = path if content is None else path.parent
        if directory not in made:
            directory.mkdir(parents=True, exist_ok=True)
            made.add(directory)
        if isinstance(content, str):
            path.symlink_to(content)
        elif content is not None:
            path.write_bytes(content)
            path.chmod(0o755 if name in executable else 0o644)
    root.mkdir(exist_ok=True)
    return root


RECEIVE = """set -e; umask 022
if [ "$1" -gt 0 ]; then
    head -c "$1" | tar -x --unlink-first -f -
    xargs -0 rm -rf -- < .quoracy/deleted
    xargs -0 dirname -z -- < .quoracy/deleted | sort -z -u | sed -z '/^\\.$/d' |
        xargs -0 -r rmdir -p --ignore-fail-on-non-empty --
fi
tar -x --unlink-first -f -
"""
"""As the host does it (quoracy/services/scripts_release.py)."""


def unpack(
    chunks: Iterable[bytes], target: Path, *, deleted: Iterable[str] = ()
) -> subprocess.CompletedProcess[bytes]:
    """Give the stream to GNU tar, the deleted paths first."""
    target.mkdir(exist_ok=True)
    size = len(deleted_list(deleted))
    first = 512 + -(-size // 512) * 512 if size else 0
    return subprocess.run(
        ["sh", "-c", RECEIVE, "sh", str(first)],
        cwd=target,
        input=b"".join(chunks),
        capture_output=True,
        check=False,
    )
