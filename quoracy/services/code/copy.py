"""A copy of the code that a build may change."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from quoracy.services.code.read import changed_meanwhile, chunks, opened
from quoracy.services.code.scan import Scanned
from quoracy.services.manifest import Entry


def copy_entries(scanned: Scanned, into: Path) -> Path:
    """Copy what was scanned, and nothing else.

    Raises:
        QuoracyError: A file is another one than when it was scanned.
        UsageError: A file cannot be read.
    """
    into.mkdir(mode=0o755)
    for entry in scanned.manifest.entries:
        target = into / entry.path
        if entry.kind == "dir":
            target.mkdir(parents=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if entry.kind == "link":
            target.symlink_to(entry.content)
        else:
            _copy_file(scanned.source, entry, target)
    return into


def copy_outputs(source: Path, tree: Path, names: tuple[str, ...]) -> None:
    """Copy files and directories of these names that are in the source and not in the tree."""
    for name in names:
        found, target = source / name, tree / name
        if found.is_dir():
            if target.is_dir():  # what is not ignored of it
                shutil.rmtree(target)
            shutil.copytree(found, target, symlinks=True)
        elif found.is_file() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(found, target)


def remove_empty(tree: Path) -> None:
    """Remove the directories in a tree that hold no file."""
    for path in sorted(tree.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
            path.rmdir()


def _copy_file(source: Path, entry: Entry, target: Path) -> None:
    digest = hashlib.sha256()
    mode = 0o755 if entry.executable else 0o644
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with (
        os.fdopen(os.open(target, flags, mode), "wb") as copy,
        opened(os.fsencode(source), os.fsencode(entry.path)) as (descriptor, _),
    ):
        for chunk in chunks(descriptor):
            digest.update(chunk)
            copy.write(chunk)
    if digest.hexdigest() != entry.content:
        raise changed_meanwhile(entry.path)
