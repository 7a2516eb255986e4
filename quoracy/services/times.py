"""The times that the files of a service's releases have on its hosts, in one operation."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from quoracy.hosts.looks import understood
from quoracy.hosts.pool import HostPool
from quoracy.services.facts import ServiceHostFacts
from quoracy.services.manifest import Manifest, parse_manifest
from quoracy.services.manifest_times import Serving, retimed
from quoracy.services.scripts import read_manifest
from quoracy.services.scripts_times import all_touched, touched
from quoracy.services.spec import Service

HORIZON_S = 366 * 24 * 3600
"""How far ahead of the controller's clock a time may lie and be believed: further ones raise no other."""


class Times:
    """What serves on the hosts before anything is changed, and the times that follow from it.

    Args:
        found: What the hosts have said.
        clock_s: The controller's clock, in seconds since the epoch.
    """

    def __init__(
        self, service: Service, pool: HostPool, found: Mapping[str, ServiceHostFacts], clock_s: int
    ) -> None:
        self._service, self._pool, self._found, self._clock_s = service, pool, found, clock_s
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], Manifest | None] = {
            (name, one.current): one.manifest
            for name, one in found.items()
            if one.current and one.manifest is not None
        }
        self._served: list[Manifest] = []
        self._serving: Serving | None = None
        self._timed: dict[str, Manifest] = {}
        self._now = clock_s

    @property
    def now(self) -> int:
        """The operation's time: later than that of any file or release on the hosts."""
        self._look()
        return self._now

    def of(self, wanted: Manifest, *, anew: bool = False) -> Manifest:
        """A tree with its times, the same on all hosts.

        Args:
            anew: Nobody knows what was served at its paths: all files get the operation's time.
        """
        serving = self._look()
        if anew:
            return Serving(()).timed(wanted, self._now)
        if wanted.digest not in self._timed:  # once, not for each of a hundred hosts
            self._timed[wanted.digest] = serving.timed(wanted, self._now)
        return self._timed[wanted.digest]

    def note(self, host: str, release: str, manifest: Manifest) -> None:
        """Remember what a release on a host is made of by now."""
        self._known[host, release] = manifest

    def manifest(self, host: str, release: str) -> Manifest | None:
        """What a release on a host was made of; None when it does not say, as of one that was built there."""
        if (host, release) not in self._known:
            script, what = read_manifest(self._service, release), "read the manifest"
            told = self._pool[host].run(script, what=what, check=False)
            output = told.stdout if told.exit_code == 0 else b""
            self._known[host, release] = understood(output, parse_manifest, what=what, host=host)
        return self._known[host, release]

    def before_switch(self, host: str, release: str) -> str:
        """Fragment that makes what differs from what serves now look newer than that; "" for nothing.

        What this operation has made does already, and so does what serves.
        """
        found = self._found[host]
        if release not in found.releases or release == found.current:
            return ""
        manifest = self.manifest(host, release)
        if manifest is None:
            return all_touched(self._service, release, self.now)
        return self._touched(host, release, manifest, self.of(manifest))

    def after_return(self, host: str, release: str, failed: str) -> str:
        """The same for a release that has come back: clients may have got files of the one that failed."""
        self._look()
        manifest, gone = self.manifest(host, release), self._known.get((host, failed))
        if manifest is None or gone is None:
            return all_touched(self._service, release, self._now + 1)
        wanted = Serving((*self._served, gone)).timed(manifest, self._now + 1)
        return self._touched(host, release, manifest, wanted)

    def _touched(self, host: str, release: str, before: Manifest, after: Manifest) -> str:
        changed = retimed(before, after)
        self.note(host, release, after)
        return touched(self._service, release, changed, after) if changed else ""

    def _look(self) -> Serving:
        """What serves; of hosts that have not told it, once for each release: a look costs a round trip."""
        with self._lock:
            if self._serving is None:
                asked: set[str] = set()
                served: list[Manifest] = []
                for name, one in self._found.items():
                    if one.current and (one.manifest is not None or one.current not in asked):
                        asked.add(one.current)
                        manifest = self.manifest(name, one.current)
                        served += [manifest] if manifest is not None else []
                latest = self._clock_s + HORIZON_S
                serving = Serving(served, latest)
                made = (r.created_s for one in self._found.values() for r in one.releases.values())
                times = (time + 1 for time in (serving.newest, *made) if time < latest)
                self._now = max(self._clock_s, *times)
                self._served, self._serving = served, serving
            return self._serving
