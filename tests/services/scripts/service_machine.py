"""A host in a directory of the test: scripts are run by a real shell, systemd is a stub that remembers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from quoracy.services.code.scan import scan
from quoracy.services.code.stream import deleted_list, release_stream
from quoracy.services.facts import ReleaseFacts, record_of
from quoracy.services.manifest import Manifest, difference
from quoracy.services.scripts import prepare_service
from quoracy.services.scripts_release import release_files, stage_release
from quoracy.services.spec import Service
from quoracy.services.templates import render_unit

USER = "nobody"
# Remembers its arguments and what `current` leads to; a unit is active once it was started.
SYSTEMCTL = """#!/bin/sh
echo "$* [$(readlink ROOT/opt/web/current)]" >> ROOT/systemctl
for last in "$@"; do :; done
case "$*" in
    *LoadState*) [ -e ROOT/etc/$last ] && echo LoadState=loaded || echo LoadState=not-found
        [ -e ROOT/active/$last ] && echo MainPID=7 || echo MainPID=0 ;;
    *Id*) echo "$last" ;;
    *MainPID*) [ -e ROOT/active/$last ] && echo 7 || echo 0 ;;
    *NeedDaemonReload*) echo NeedDaemonReload=no ;;
    *FragmentPath*) [ ! -e ROOT/etc/$last ] || echo ROOT/etc/$last ;;
    is-active*) [ -e ROOT/active/$last ] ;;
    start*|restart*) [ ! -e ROOT/broken ] && : > ROOT/active/$last ;;
    stop*) rm -f ROOT/active/$last ;;
    enable*) for d in multi-user sockets; do mkdir -p ROOT/etc/$d.target.wants; : > ROOT/etc/$d.target.wants/$last; done ;;
esac
"""
# Runs the command itself; as with systemd, it inherits only three descriptors, and $$ becomes $.
SYSTEMD_RUN = f"""#!{sys.executable}
import os, sys
os.closerange(3, 100)
argv = [word.replace("$$", "$") for word in sys.argv[sys.argv.index("--") + 1 :]]
os.execvp(argv[0], argv)
"""
# fmt: off
WRAPPED = (
    "base64", "cat", "chmod", "chown", "cp", "find", "head", "install", "ln", "mkdir", "mv", "rm", "rmdir",
    "sed", "sort", "stat", "sync", "systemctl", "tar", "xargs",
)
# fmt: on
# `kill -9 0` ends its whole process group: the script and all that it has started.
WRAPPER = """#!/bin/sh
until /bin/mkdir ROOT/counting 2>/dev/null; do sleep 0.01; done
read -r left < ROOT/left
left=$((left - 1))
echo $left > ROOT/left
/bin/rmdir ROOT/counting
[ $left -ne 0 ] || kill -9 0
PATH=${PATH#*:} exec "${0##*/}" "$@"
"""


def web(**settings: Any) -> Service:
    """A service as its file says it."""
    redeploy = settings.pop("redeploy", {})
    return Service.model_validate(
        {
            "service_name": "web",
            "service_type": "nodejs",
            "app_port": 3000,
            "app_user": USER,
            "redeploy": redeploy,
            **settings,
        }
    )


class Machine:
    """One host, below a directory that the service's user may walk through."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.dir = root / "opt/web"
        self.etc = root / "etc"
        for each in (self.etc, root / "active", root / "bin", root / "opt", root / "var/www"):
            each.mkdir(parents=True)
        self.program("systemctl", SYSTEMCTL)
        self.program("systemd-run", SYSTEMD_RUN)
        self.program("journalctl", "#!/bin/sh\necho last words\n")
        self.stamp = 0

    def program(self, name: str, text: str) -> None:
        path = self.root / "bin" / name
        path.write_text(text.replace("ROOT", str(self.root)))
        path.chmod(0o755)

    def text(self, text: str) -> str:
        moved = text.replace("/opt/web", str(self.dir)).replace(
            "/etc/systemd/system", str(self.etc)
        )
        return moved.replace("/var/www", str(self.root / "var/www")).replace(
            "/var/lib/quoracy", str(self.root / "state")
        )

    def start(self, text: str, *, path: str = "", **options: Any) -> subprocess.Popen[bytes]:
        path = path or f"{self.root}/bin:{os.environ['PATH']}"
        return subprocess.Popen(
            ["sh", "-c", self.text(text)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PATH": path},
            start_new_session=True,
            **options,
        )

    def fails(self, text: str, stdin: bytes = b"") -> str:
        """What a script that fails says of it."""
        with self.start(text, stdin=subprocess.PIPE) as process:
            _, stderr = process.communicate(stdin)
        assert process.returncode > 0
        return stderr.decode()

    def run(self, text: str, stdin: bytes = b"", *, code: int = 0) -> str:
        with self.start(text, stdin=subprocess.PIPE) as process:
            stdout, stderr = process.communicate(stdin)
        assert process.returncode == code, stderr.decode()
        return (stdout + (stderr if code else b"")).decode("utf-8", "surrogateescape")

    def run_killed(self, text: str, stdin: bytes, at: int) -> bool:
        """Run it, and kill it as it begins its so manieth program; whether it came so far."""
        wrappers = self.root / "wrappers"
        wrappers.mkdir(exist_ok=True)
        for name in WRAPPED:
            (wrappers / name).write_text(WRAPPER.replace("ROOT", str(self.root)))
            (wrappers / name).chmod(0o755)
        if (self.root / "counting").exists():
            (self.root / "counting").rmdir()
        (self.root / "left").write_text(f"{at}\n")
        (self.root / "left").chmod(0o666)
        self.root.chmod(0o777)  # the service's user counts, too
        path = f"{wrappers}:{self.root}/bin:{os.environ['PATH']}"
        with self.start(text, stdin=subprocess.PIPE, path=path) as process:
            _, stderr = process.communicate(stdin)
        # What runs as the user cannot kill the script: that is then a program that fails.
        ended = (0, -signal.SIGKILL, 128 + signal.SIGKILL)
        assert process.returncode in ended or b"Killed" in stderr, stderr
        return process.returncode != 0

    def stage(
        self, service: Service, identity: str, tree: Path, base: str = "", **options: Any
    ) -> tuple[str, bytes]:
        """Script and stream that stage a tree."""
        manifest, before = scan(tree).manifest, Manifest(())
        if base:
            path = self.dir / "releases" / base / ".quoracy/manifest"
            before = Manifest.parse(path.read_text())
        found = difference(before, manifest)
        self.stamp += 1
        key = options.pop("dependencies", "")
        record = ReleaseFacts(identity, manifest.digest, "r", key, "v20", self.stamp, "op")
        files = release_files(manifest, record_of(record), render_unit(service, identity))
        files = {k: (self.text(v.decode()).encode(), m) for k, (v, m) in files.items()}
        stream = release_stream(tree, found.changed, deleted=found.deleted, extra=files)
        told = stage_release(
            service,
            identity,
            base,
            key,
            deleted_size=len(deleted_list(found.deleted)),
            **{"copy": False, **options},
        )
        return told, b"".join(stream)

    def staged(self, service: Service, identity: str, tree: Path, base: str = "", **o: Any) -> Path:
        told, stream = self.stage(service, identity, tree, base, **o)
        self.run(told, stream)
        return self.dir / "releases" / identity

    def dependencies(self, *keys: str) -> None:
        """Directories of dependencies, as if they had been installed."""
        for key in keys:
            made = self.dir / ".quoracy/made/deps"
            made.mkdir(parents=True, exist_ok=True)
            (made / key).touch()
            (self.dir / f"deps/{key}/node_modules").mkdir(parents=True)
            (self.dir / f"deps/{key}/.complete").touch()

    @property
    def orders(self) -> list[str]:
        """What systemctl was asked to change, with what `current` led to at that time."""
        path = self.root / "systemctl"
        told = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [line for line in told if not line.startswith(("show", "is-active"))]


def stage(machine: Machine, service: Service, tree: Path, *releases: str) -> None:
    flat = (machine.dir / "index.js").exists()
    machine.run(prepare_service(service, flat=flat))
    for release in releases:
        machine.staged(service, release, tree)


def links(machine: Machine) -> dict[str, str]:
    names = ("current", "previous", ".quoracy/older")
    return {
        name: str((machine.dir / name).readlink())[9:]
        for name in names
        if (machine.dir / name).is_symlink()
    }


def listing(directory: Path) -> dict[str, str]:
    """What lies below, with owner and mode, but for what is ours."""
    found = {}
    for path in sorted(directory.rglob("*")):
        name = str(path.relative_to(directory))
        if name.split("/")[0] not in (
            "releases",
            "shared",
            "deps",
            ".quoracy",
            "current",
            "previous",
        ):
            content = (
                str(path.readlink()) if path.is_symlink() else path.is_file() and path.read_text()
            )
            found[name] = f"{path.owner()} {path.lstat().st_mode:o} {content}"
    return found
