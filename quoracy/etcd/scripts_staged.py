"""What a staged generation holds, and the fragment that asks for it right before it comes into use. Pure.

A name proves nothing: what lies behind it may have been edited since it was staged. So a plan keeps what it
saw or wants there, and the host compares before a member is taken down, switched or started.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping
from typing import Final

from quoracy.etcd.spec import EtcdCluster
from quoracy.etcd.templates import Generation

STAGED_FILES: Final = ("etcd.yaml", "pre-start", "unit")
RELEASE_LINK: Final = "release"
NOT_AS_PLANNED: Final = 80
"""Exit code beside the guard's (75 to 79); like them it says that nothing was done."""


def content_text(name: str, digests: Mapping[str, str], release: str) -> str:
    """One text of a generation's name, its files as `sha256sum` prints them, and where its link leads."""
    return "\n".join((name, *(f"{digests[file]}  {file}" for file in STAGED_FILES), release))


def staged_content(cluster: EtcdCluster, generation: Generation) -> str:
    """What lies on a host once this generation is staged there."""
    digests = {name: sha256(text.encode()) for name, text in generation.files.items()}
    return content_text(generation.identity, digests, cluster.release_dir(generation.version))


def with_files(content: str, digests: Mapping[str, str]) -> str:
    """The same text with files that lie elsewhere, by their whole path; empty when it is not known."""
    if not content:
        return ""
    *lines, release = content.splitlines()
    return "\n".join((*lines, *(f"{digest}  {path}" for path, digest in digests.items()), release))


def unit_digest(content: str) -> str:
    """Digest of the generation's unit, of which systemd has a copy."""
    lines = (line.split("  ", 1) for line in content.splitlines() if "  " in line)
    return next((digest for digest, name in lines if name == "unit"), "")


def sha256(content: bytes) -> str:
    """Digest of a file, as `sha256sum` prints it."""
    return hashlib.sha256(content).hexdigest()


def require_content(cluster: EtcdCluster, content: str, *, in_use: bool = False) -> tuple[str, ...]:
    """Fragment that ends the script, before it does anything, where the host holds something else.

    Args:
        content: Empty where it is not known (a journal written before it was noted): nothing is asked then.
        in_use: Whether the generation that `current` follows must hold it, or the one of its name.
    """
    if not content:
        return ()
    name, *digests, release = content.splitlines()
    directory = f"{cluster.config_dir}/current" if in_use else _directory(cluster, name)
    return (
        "as_planned() {",
        f"cd {shlex.quote(directory)} 2>/dev/null || return",
        "sha256sum --check --quiet 2>/dev/null <<'QUORACY_END' || return",
        *digests,
        "QUORACY_END",
        f'[ "$(readlink {RELEASE_LINK})" = {shlex.quote(release)} ] && [ -x {RELEASE_LINK}/etcd ] '
        f"|| {{ echo {RELEASE_LINK}: FAILED; return 1; }}",
        "}",
        f'differ=$(as_planned) || {{ echo "$differ" >&2; exit {NOT_AS_PLANNED}; }}',
    )


def files_named(cluster: EtcdCluster, content: str, stderr: str) -> str:
    """Which files `require_content` has found to differ, with their directory."""
    name, *digests, _ = content.splitlines()
    known = [*(line.split("  ", 1)[1] for line in digests), RELEASE_LINK]
    said = [line.partition(": FAILED")[0] for line in stderr.splitlines() if ": FAILED" in line]
    named = [file for file in known if file in said]
    there = _directory(cluster, name)
    return ", ".join(file if file.startswith("/") else f"{there}/{file}" for file in named) or there


def _directory(cluster: EtcdCluster, name: str) -> str:
    return f"{cluster.config_dir}/generations/{name}"
