"""What of a service's code is never shipped: what `.deployignore` names, and what no release may hold.

`.deployignore` lies at the root of the code and is read as git reads `.gitignore`; those further down are
files like others. Its lines are data: no shell and no glob of tar ever sees them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from quoracy.errors import UsageError
from quoracy.services.code.pattern import Pattern, parse_pattern, spelled

IGNORE_FILE = ".deployignore"

# Without them dependencies are not what was tested, or cannot be installed at all (the original's own
# starter file dropped package-lock.json and then ran `npm ci`).
LOCK_FILES = frozenset(
    {
        b"package.json",
        b"package-lock.json",
        b"npm-shrinkwrap.json",
        b"bun.lock",
        b"bun.lockb",
        b"pyproject.toml",
        b"requirements.txt",
        b"uv.lock",
        b"poetry.lock",
        b"go.mod",
        b"go.sum",
    }
)

# A release has its own node_modules, .venv and .quoracy; the ignore file says nothing to a host and
# would make a new release of every change in it.
_NAMES = frozenset({b".git", b"node_modules", b".venv"})
_DIRECTORIES = frozenset({b"venv", b"__pycache__"})
_AT_ROOT = frozenset({b".quoracy", IGNORE_FILE.encode()})


def never_shipped(path: bytes, *, directory: bool) -> bool:
    """Whether no release may hold it: Git's own, dependencies, byte code, secrets in `.env*`."""
    name = path.rpartition(b"/")[2]
    return (
        name in _NAMES
        or path in _AT_ROOT
        or (directory and name in _DIRECTORIES)
        or (name.startswith(b".env") and name != b".env.example")
        or name.endswith(b".pyc")
    )


@dataclass(frozen=True, slots=True)
class Ignore:
    """The patterns of one ignore file."""

    lines: tuple[bytes, ...]
    patterns: tuple[tuple[int, Pattern], ...]

    @staticmethod
    def of(source: Path) -> Ignore:
        """Read the ignore file of a tree; without one nothing is ignored.

        Raises:
            UsageError: It cannot be read.
        """
        try:
            content = (source / IGNORE_FILE).read_bytes()
        except FileNotFoundError:
            content = b""
        except OSError as error:
            raise UsageError(
                f"the ignore file cannot be read: {error.strerror}",
                where=str(source / IGNORE_FILE),
                next_step="make it a readable file, or take it away",
            ) from error
        return Ignore.parse(content)

    @staticmethod
    def parse(content: bytes) -> Ignore:
        """The patterns of an ignore file with this content."""
        lines = tuple(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"))
        parsed = [(number, parse_pattern(line)) for number, line in enumerate(lines)]
        # The last line that is about a path decides.
        return Ignore(lines, tuple((n, pattern) for n, pattern in reversed(parsed) if pattern))

    def drops(self, path: bytes, *, directory: bool) -> bool:
        """Whether the file wants this path left out; asked of a directory before of what is in it.

        Raises:
            UsageError: It is a lock file.
        """
        asked = spelled(path) + "/" * directory
        name = asked[asked.rfind("/", 0, -1) + 1 :]
        for number, pattern in self.patterns:
            if pattern.matches(asked, name):
                if pattern.ignores and not directory and path in LOCK_FILES:
                    raise self._needed(path.decode(), number)
                return pattern.ignores
        return False

    def _needed(self, path: str, line: int) -> UsageError:
        pattern = self.lines[line].decode("utf-8", "backslashreplace").strip()
        return UsageError(
            f"the pattern {pattern!r} leaves {path} out, and dependencies are installed by it",
            where=f"{IGNORE_FILE}:{line + 1}",
            next_step=f"take the line away, or write !{path} below it",
        )
