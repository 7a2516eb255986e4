"""Debian's packages as this machine gets them: no mirror of our own is ever named.

The mirror is the one that the machine's own apt sources name for its Debian release; other
releases of Debian are expected at the same place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from lab.machine import run
from quoracy.errors import QuoracyError

#: Where apt keeps Debian's archive keys when the sources do not say so.
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_INDEX = re.compile(r"'(?P<uri>[^']+?)/?/dists/(?P<suite>[^'/]+)/(?:In)?Release'")
_DEBIAN_SUITES = ("bullseye", "bookworm", "trixie", "forky", "sid", "stable", "testing", "unstable")
#: Settings of the machine that decide how a mirror is reached and how old an index may be.
_CARRIED = ("Acquire::http", "Acquire::https", "Acquire::Check-")


@dataclass(frozen=True, slots=True)
class Mirror:
    """A Debian mirror and the machine's settings to reach it, as lines of an apt.conf."""

    uri: str
    settings: tuple[str, ...]

    def source(self, suite: str) -> str:
        """Return the line of a sources.list for one release, its main component only."""
        signed_by = f"[signed-by={KEYRING}] " if KEYRING.exists() else ""
        return f"deb {signed_by}{self.uri} {suite} main"


def find_mirror() -> Mirror:
    """Return the mirror of the machine's own apt sources.

    Raises:
        QuoracyError: The sources name no release of Debian.
    """
    indexes = run(("apt-get", "--print-uris", "update"), what="reading the apt sources").decode()
    settings = run(("apt-config", "dump"), what="reading the apt settings").decode()
    return Mirror(mirror_uri(indexes), carried_settings(settings))


def mirror_uri(indexes: str) -> str:
    """Return the mirror among what `apt-get --print-uris update` would fetch.

    Raises:
        QuoracyError: None of them is a release of Debian.
    """
    for match in _INDEX.finditer(indexes):
        if match["suite"] in _DEBIAN_SUITES:
            return match["uri"]
    raise QuoracyError(
        "this machine's apt sources name no Debian mirror",
        where="/etc/apt",
        next_step="practice hosts are made from Debian packages: run on Debian, or add a Debian source",
    )


def carried_settings(dump: str) -> tuple[str, ...]:
    """Return the lines of `apt-config dump` that a mirror may need: proxies, timeouts, dates."""
    return tuple(line for line in dump.splitlines() if line.startswith(_CARRIED))


def download(mirror: Mirror, suite: str, packages: tuple[str, ...], workspace: Path) -> list[Path]:
    """Download packages of a release into an empty directory, without installing anything.

    Raises:
        QuoracyError: The mirror has no such release or package.
    """
    state = workspace / "apt"
    for part in ("lists/partial", "cache/archives/partial", "etc"):
        (state / part).mkdir(parents=True)
    (state / "etc/sources.list").write_text(mirror.source(suite) + "\n")
    (state / "status").touch()
    apt = ("apt-get", "-q", *_apt_options(state))
    run((*apt, "update"), what=f"reading the packages of Debian {suite}", timeout=300)
    # `apt-get download` writes into its working directory.
    command = ("sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", str(workspace), *apt)
    run((*command, "download", *packages), what=f"downloading from Debian {suite}", timeout=300)
    return sorted(workspace.glob("*.deb"))


def _apt_options(state: Path) -> tuple[str, ...]:
    settings = (
        f"Dir::Etc::sourcelist={state}/etc/sources.list",
        "Dir::Etc::sourceparts=/dev/null",
        "Dir::Etc::preferences=/dev/null",
        "Dir::Etc::preferencesparts=/dev/null",
        f"Dir::State={state}",
        f"Dir::State::lists={state}/lists",
        f"Dir::State::status={state}/status",
        f"Dir::Cache={state}/cache",
        # The workspace belongs to root alone, so apt's own user could not write there.
        "APT::Sandbox::User=root",
    )
    return tuple(part for setting in settings for part in ("-o", setting))
