"""The code that is redeployed: a small Node.js service among a fixed number of files, and changes to it.

The same number of files is the same tree on every machine; every change makes one that was not there
before, so that each side has to bring it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

SERVICE = Path(__file__).parent / "service"
FILES_A_DIRECTORY = 100
#: Characters of a file: near the mean of source files in web projects' trees.
CHARACTERS = 6000
#: A package without dependencies of its own; what is measured is how it gets there.
PACKAGE, PACKAGE_VERSION = "ms", "2.1.3"
PACKAGE_INTEGRITY = "sha512-6FlzubTLZG3J2a/NVCAleEhjzq5oxgHyaCU9yYXvcLsvoVaHJq/s5xXI6/XXP6tz7R9xAOtHnSO/tXtF3WRTlA=="


class Case(StrEnum):
    """What has changed since the last time."""

    NOTHING = "nothing"
    ONE = "one file"
    TENTH = "10 %"
    LOCK = "lock file"


class Fault(StrEnum):
    """How a release is broken on purpose; bench/service/index.js does it."""

    NONE = ""
    ANSWERS_500 = "answers-500"
    DIES = "dies"
    SILENT = "silent"


@dataclass(slots=True)
class Tree:
    """A tree of code in a directory of its own.

    Args:
        files: How many it has, all counted but those that npm installs.
    """

    directory: Path
    files: int
    _changes: int = field(default=0, init=False)
    _fillers: list[Path] = field(default_factory=list, init=False)

    def make(self) -> None:
        """Write all files, and install the dependencies for those who ship them with the code."""
        self.directory.mkdir(parents=True)
        (self.directory / "public").mkdir()
        shutil.copy(SERVICE / "index.js", self.directory / "index.js")
        self._write_package()
        self.release("0")
        # Both others ship node_modules from here; Quoracy installs its own, by the lock file.
        (self.directory / ".deployignore").write_text("node_modules/\n")
        made = sum(1 for path in self.directory.rglob("*") if path.is_file())
        for number in range(self.files - made):
            self._fillers.append(self._filler(number))
            self._fill(self._fillers[-1])
        self.install()

    def change(self, case: Case) -> None:
        """Change as much as the case says."""
        self._changes += 1
        if case is Case.ONE:
            self._fill(self._fillers[len(self._fillers) // 2])
        elif case is Case.TENTH:
            for path in self._fillers[::10]:
                self._fill(path)
        elif case is Case.LOCK:
            self._write_package()

    def release(self, name: str, fault: Fault = Fault.NONE) -> None:
        """Write a release's name, where the code and where an asset has it."""
        told = json.dumps({"release": name, "fault": fault.value})
        (self.directory / "release.js").write_text(f"module.exports = {told};\n")
        (self.directory / "public/release.txt").write_text(f"{name}\n")

    def install(self) -> None:
        """Make node_modules by the lock file, as one does before copying a directory to a host.

        Raises:
            RuntimeError: npm failed; it needs its cache or a registry.
        """
        command = ("npm", "ci", "--omit=dev", "--no-audit", "--no-fund", "--ignore-scripts")
        done = subprocess.run(
            command, cwd=self.directory, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"npm ci failed in {self.directory}:\n{done.stdout}{done.stderr}")

    def _filler(self, number: int) -> Path:
        directory = self.directory / f"lib/{number // FILES_A_DIRECTORY:03d}"
        directory.mkdir(parents=True, exist_ok=True)
        return directory / f"part-{number:05d}.js"

    def _fill(self, path: Path) -> None:
        seed = f"{path.name} {self._changes}".encode()
        path.write_text(f"// {hashlib.shake_256(seed).hexdigest(CHARACTERS // 2)}\n")

    def _write_package(self) -> None:
        """Both files of npm; the service's version is in the lock file, so that it changes."""
        root = {
            "name": "bench-service",
            # Of this tree alone: dependencies of a lock file that was seen before are kept.
            "version": f"1.{self.files}.{self._changes}",
            "dependencies": {PACKAGE: PACKAGE_VERSION},
        }
        locked = {"version": PACKAGE_VERSION, "integrity": PACKAGE_INTEGRITY}
        lock = {
            "name": root["name"],
            "version": root["version"],
            "lockfileVersion": 3,
            "requires": True,
            "packages": {"": root, f"node_modules/{PACKAGE}": locked},
        }
        private = {**root, "private": True}
        (self.directory / "package.json").write_text(json.dumps(private, indent=2) + "\n")
        (self.directory / "package-lock.json").write_text(json.dumps(lock, indent=2) + "\n")
