"""What is called like ours in a service's directory: whose it is, what it is, and where links lead. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from quoracy.hosts import bounded
from quoracy.hosts.bounded import Unreadable
from quoracy.hosts.question import Answer
from quoracy.services.layout import journal_path, web_root
from quoracy.services.scripts_owner import mark_path
from quoracy.services.spec import Service
from quoracy.services.spec_fields import OURS

LINKS = ("current", "previous")


@dataclass(frozen=True, slots=True)
class Named:
    """A file of one of the names: the letter that find(1) has for its type, its owner, its target.

    Attributes:
        empty: Whether it is a directory with nothing in it.
    """

    kind: str
    uid: str
    owner: str
    target: str
    empty: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """A service's directory.

    Attributes:
        named: What there is, by path.
        subject: The service that it is kept for; "" when nobody has said so, None when root has not
            made `.quoracy` there.
    """

    directory: str
    named: Mapping[str, Named]
    subject: str | None

    def leads(self, path: str) -> str:
        """Where a link leads; "empty", "directory" or "file" when it is none, "" when there is nothing."""
        found = self.named.get(path)
        if found is None:
            return ""
        if found.kind == "d":
            return "empty" if found.empty else "directory"
        return found.target if found.kind == "l" else "file"

    @property
    def owner(self) -> str:
        """Who has the directory itself; "" when it is none, or reached through a link."""
        found = self.named.get(self.directory)
        return found.owner if found is not None and found.kind != "l" else ""

    @property
    def switched(self) -> bool:
        """Whether `current` is a link of ours to a release."""
        found = self.named.get(f"{self.directory}/current")
        if found is None or found.kind != "l" or not self._is_ours(found):
            return False
        return found.target.startswith(("releases/", f"{self.directory}/releases/"))

    def taken(self, *, flat: bool) -> tuple[str, ...]:
        """Names of ours that somebody else has used.

        Args:
            flat: Whether there is something else in the directory, so that they may be part of that.
        """
        return tuple(self._taken(flat=flat))

    def _taken(self, *, flat: bool) -> Iterator[str]:
        for name in OURS:
            found = self.named.get(f"{self.directory}/{name}")
            if found is None:
                continue
            fits = found.kind == ("l" if name in LINKS else "d")
            if name == "shared":
                # It is the app user's, and may be made by hand before the first run.
                ours = self.subject is not None or not flat
            else:
                ours = self.subject is not None and self._is_ours(found)
            if not (fits and ours):
                yield name

    def _is_ours(self, found: Named) -> bool:
        """Whether it has the owner of `.quoracy`; the shell has looked at that one."""
        own = self.named.get(f"{self.directory}/.quoracy")
        return self.subject is None or own is None or own.uid == found.uid


def place_question(service: Service) -> str:
    """One process for all names; the subject is read by the shell, where root has made `.quoracy`."""
    own = f"{service.directory}/.quoracy"
    names = " ".join(f"{service.directory}/{name}" for name in OURS)
    return f"""find {service.directory} {names} {journal_path(service)} {web_root(service)} -maxdepth 0 \\
    \\( -type d -empty -printf '%p e %U %u \\n' -o -printf '%p %y %U %u %l\\n' \\)
subject=
[ -L {own} ] || [ ! -O {own} ] || {{ read -r subject < {mark_path(service)}; echo "subject=$subject"; }}"""


def parse_place(service: Service, answer: Answer) -> Place:
    """The answer to `place_question`."""
    named = {}
    for line in answer.lines:
        if line.startswith("/"):
            path, found = _named(line)
            if path in named:
                raise Unreadable(f"{bounded.one_line(path)} is named twice")
            named[path] = found
    subject = answer.pairs.get("subject")
    return Place(service.directory, named, subject and bounded.word(subject, "the subject"))


def _named(line: str) -> tuple[str, Named]:
    """Path, type, owner, and target of a link, as `place_question` has them printed."""
    words = line.split(" ", 4)
    if len(words) != 5:
        raise Unreadable(f"{bounded.one_line(line)!r} is not path, type, owner and target")
    path, kind, uid, owner, target = words
    empty = kind == "e"
    return path, Named(
        "d" if empty else bounded.word(kind, "a type"),
        bounded.word(uid, "an owner"),
        bounded.word(owner, "an owner's name"),
        bounded.line(target, path),
        empty,
    )
