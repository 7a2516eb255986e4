"""The base system all practice hosts share, read-only: built once, kept in the cache."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from lab.debian import Mirror, find_mirror
from lab.machine import locked, run

SUITE = "bookworm"
PACKAGES = (
    "systemd",
    "systemd-sysv",
    "dbus",
    "openssh-server",
    "iproute2",
    "procps",
    "ca-certificates",
    # What services run with: hosts have them before any code is redeployed.
    "nodejs",
    "python3",
    "python3-venv",
    "nginx",
)
#: Units that only cost time or memory on a host without a console and without a way out.
MASKED = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "console-getty.service",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "systemd-logind.service",
    "systemd-networkd.service",
    "systemd-pstore.service",
    "systemd-resolved.service",
)
#: The journal stays on the disk, small, so that it can testify after a power cut.
JOURNALD = "[Journal]\nStorage=persistent\nSystemMaxUse=32M\nSystemKeepFree=1M\nRateLimitBurst=0\n"
SSHD = """\
UseDNS no
PermitRootLogin prohibit-password
PasswordAuthentication no
HostKey /etc/ssh/ssh_host_ed25519_key
"""
_UNWANTED_FILES = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")


def customize_hooks() -> tuple[str, ...]:
    """Return the shell commands that finish the base; mmdebstrap gives its directory as $1."""
    return (
        # Every host gets a key and an identity of its own; those of the base would be shared.
        'rm -f "$1"/etc/ssh/ssh_host_* "$1"/etc/machine-id "$1"/var/lib/dbus/machine-id',
        'chroot "$1" systemctl --quiet mask ' + " ".join(MASKED),
        # Only hosts of a static service run it, and start it themselves.
        'chroot "$1" systemctl --quiet disable nginx.service',
        'mkdir -p "$1"/etc/systemd/journald.conf.d "$1"/var/log/journal',
        f'printf %s "{JOURNALD}" > "$1"/etc/systemd/journald.conf.d/lab.conf',
        f'printf %s "{SSHD}" > "$1"/etc/ssh/sshd_config.d/lab.conf',
    )


def build_command(mirror: Mirror, target: Path) -> tuple[str, ...]:
    """Return the command that builds the base into `target`."""
    hooks = tuple(f"--customize-hook={hook}" for hook in customize_hooks())
    settings = tuple(f"--aptopt={line}" for line in mirror.settings)
    excludes = tuple(f"--dpkgopt=path-exclude={pattern}" for pattern in _UNWANTED_FILES)
    return (
        "mmdebstrap",
        "--quiet",
        "--mode=root",
        "--variant=minbase",
        f"--include={','.join(PACKAGES)}",
        *settings,
        *excludes,
        *hooks,
        SUITE,
        str(target),
        mirror.source(SUITE),
    )


def recipe_digest() -> str:
    """Return what tells one recipe from another: the command without the machine's mirror."""
    command = build_command(Mirror("", ()), Path("base"))
    architecture = os.uname().machine
    return hashlib.sha256("\0".join((architecture, *command)).encode()).hexdigest()[:16]


def base_system(cache: Path) -> Path:
    """Return the directory of the base system; build it when the cache has none (half a minute).

    It appears under its name only when complete, so a build that was killed leaves no base.
    """
    final = cache / f"base-{recipe_digest()}"
    with locked(cache / "base.lock"):
        # There are setuid programs in it that are as old as it is: nobody else may run them.
        cache.chmod(0o700)
        if not final.exists():
            building = cache / f"{final.name}.building"
            if building.exists():
                shutil.rmtree(building)
            run(
                build_command(find_mirror(), building),
                what="building the base system of the practice hosts",
                timeout=900,
            )
            building.rename(final)
    return final
