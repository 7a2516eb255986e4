"""Whether the links of a tree stay inside it, found without touching the tree. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from quoracy.errors import UsageError
from quoracy.services.code.read import shown

# After so many links the kernel gives up with ELOOP (MAXSYMLINKS of Linux).
_MAX_LINKS = 40


def check_links(links: Mapping[str, str]) -> None:
    """Follow every link as the kernel would.

    What is not in the tree counts as a plain name: a link may lead to a directory of dependencies, or
    to what a build makes.

    Args:
        links: Target of each link, by its path.

    Raises:
        UsageError: One leads outside, is absolute, or leads back to itself.
    """
    for path in sorted(links):
        problem = _problem(path, links)
        if problem:
            raise UsageError(
                f"the link to {shown(links[path])!r} {problem}",
                where=shown(path),
                next_step="link relatively to something in the tree, or name it in .deployignore",
            )


def _problem(path: str, links: Mapping[str, str]) -> str:
    """What is wrong with a link; "" when it stays inside."""
    waiting = path.split("/")[::-1]
    reached: list[str] = []
    followed = 0
    while waiting:
        part = waiting.pop()
        if part == "..":
            if not reached:
                return "leads outside of the tree"
            reached.pop()
        elif part not in ("", "."):
            target = links.get("/".join([*reached, part]))
            if target is None:
                reached.append(part)
                continue
            followed += 1
            if target.startswith("/"):
                return "is absolute, or leads on to one that is"
            if followed > _MAX_LINKS:
                return "leads back to itself"
            waiting.extend(target.split("/")[::-1])
    return ""
