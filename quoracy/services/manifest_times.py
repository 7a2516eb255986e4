"""When the files of a tree count as changed: what HTTP servers tell their clients by. Pure.

`http.FileServer`, nginx and others answer `If-Modified-Since` by date: a file that has changed and looks
older than the one before is never fetched again. So each file has a time of its own, which goes with its
content from release to release, is the same on all hosts, and only ever rises.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from quoracy.services.manifest import MAX_TIME, Entry, Manifest


class Serving:
    """What hosts serve, all together.

    Args:
        until: A host that speaks of this time or a later one is not believed.

    Attributes:
        newest: The latest time of a file; 0 when none has one.
    """

    def __init__(self, manifests: Iterable[Manifest], until: int = MAX_TIME) -> None:
        self._known: dict[str, set[tuple[Entry, int]]] = {}
        self.newest = 0
        for manifest in manifests:
            for entry in manifest.entries:
                time = entry.time if entry.time < until else 0
                self._known.setdefault(entry.path, set()).add((entry, time))
                self.newest = max(self.newest, time)

    def timed(self, wanted: Manifest, now: int) -> Manifest:
        """A tree with a time for each file.

        A file that serves somewhere already, with that content, keeps its time. Everything else gets
        `now`; so does a file where a newer one serves at its path, as before an older release comes back.

        Args:
            now: Later than any time of what serves.
        """
        return Manifest(tuple(self._timed(entry, now) for entry in wanted.entries))

    def _timed(self, entry: Entry, now: int) -> Entry:
        if entry.kind != "file":
            return entry
        serving = self._known.get(entry.path, ())
        same = max((time for one, time in serving if one == entry), default=0)
        other = max((time for one, time in serving if one != entry), default=0)
        return replace(entry, time=same if same > other else now)


def retimed(before: Manifest, after: Manifest) -> dict[int, list[str]]:
    """What has another time in the second of two trees that are the same: paths by their time."""
    old = {entry.path: entry.time for entry in before.entries}
    paths: dict[int, list[str]] = {}
    for entry in after.entries:
        if entry.kind == "file" and entry.time != old[entry.path]:
            paths.setdefault(entry.time, []).append(entry.path)
    return dict(sorted(paths.items()))
