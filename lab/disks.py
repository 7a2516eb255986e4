"""The disk of a practice host: an ext4 image of its own under an overlay over the shared base."""

from __future__ import annotations

import shutil
from pathlib import Path

from lab.machine import run, until_it_works

#: Size of a host's disk; the image is sparse, so that only what a host writes takes room.
DISK_BYTES = 2 * 1024**3


def image(directory: Path) -> Path:
    """Return the disk image of the host that lives in `directory`."""
    return directory / "disk.img"


def root(directory: Path) -> Path:
    """Return the root file system of the host that lives in `directory`."""
    return directory / "root"


def create(directory: Path, size: int = DISK_BYTES) -> None:
    """Make the empty disk of a host.

    Without a journal: a power cut here kills processes and loses nothing that reached the kernel.
    Without reserved blocks: root fills the disk to the last byte, as the full-disk fault needs.
    """
    # Nobody else of this machine may read a host's disk, or run what is setuid on it.
    directory.mkdir(parents=True, mode=0o700)
    with image(directory).open("wb") as file:
        image(directory).chmod(0o600)
        file.truncate(size)
    make = ("mkfs.ext4", "-q", "-F", "-m", "0", "-O", "^has_journal", str(image(directory)))
    run(make, what=f"formatting the disk of {directory.name}")


def mount(directory: Path, base: Path) -> Path:
    """Mount disk and overlay of a host and return its root; nothing happens when mounted."""
    disk, overlay = directory / "disk", root(directory)
    if str(overlay) in _mounted():
        return overlay
    if str(disk) not in _mounted():
        disk.mkdir(exist_ok=True)
        command = ("mount", "-o", "loop,noatime", str(image(directory)), str(disk))
        run(command, what=f"mounting the disk of {directory.name}")
    for part in (disk / "upper", disk / "work", overlay):
        part.mkdir(exist_ok=True)
    layers = f"lowerdir={base},upperdir={disk}/upper,workdir={disk}/work"
    stack = ("mount", "-t", "overlay", "overlay", "-o", layers, str(overlay))
    run(stack, what=f"mounting the root of {directory.name}")
    return overlay


def unmount_below(directory: Path) -> None:
    """Unmount all that is mounted below a directory, the innermost first."""
    below = [path for path in _mounted() if path.startswith(f"{directory}/")]
    for path in sorted(below, key=len, reverse=True):
        run(("umount", path), what="unmounting a practice host")


def remove_tree(directory: Path) -> None:
    """Remove a directory, and unmount what is mounted below it."""

    def remove() -> None:
        unmount_below(directory)
        shutil.rmtree(directory)

    until_it_works(remove)


def _mounted() -> list[str]:
    """Return the mount points of this machine, in the order in which they were mounted."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    # proc(5): the fifth field, with blanks and backslashes as octal escapes.
    return [line.split()[4].encode().decode("unicode_escape") for line in lines]
