"""Made-up services, what hosts say of them, and a world in which steps take effect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from quoracy.hosts.machine import HostFacts
from quoracy.operation.step import Step
from quoracy.services import steps
from quoracy.services.facts import ReleaseFacts, ServiceHostFacts, UnitFacts
from quoracy.services.facts_site import ServiceFacts
from quoracy.services.plan.request import RedeployRequest
from quoracy.services.spec import Service

GIB = 1024**3


def service(hosts: int = 1, **settings: Any) -> Service:
    """A Node.js service on so many hosts."""
    return Service.model_validate(
        {
            "service_name": "web",
            "service_type": "nodejs",
            "app_port": 3000,
            "hosts": [
                {"name": f"h{number}", "address": f"198.51.100.{number}"}
                for number in range(1, hosts + 1)
            ],
            **settings,
        }
    )


def machine(**changes: Any) -> HostFacts:
    """A host on which nothing is wrong."""
    usual: dict[str, Any] = {
        "os_name": "Debian",
        "architecture": "x86_64",
        "clock_s": 0.0,
        "uptime_s": 1.0,
        "boot_id": "b",
        "free_bytes": {"/opt/web": 10 * GIB},
        "listening": frozenset(),
        "guard": None,
    }
    return HostFacts(**{**usual, **changes})


def request(hosts: int = 1, *, source: str = "new", **changes: Any) -> RedeployRequest:
    """Code that is wanted on all hosts."""
    usual: dict[str, Any] = {
        "source": source,
        "recipe": "recipe",
        "paths": {"index.js": "as in the code"},
        "bytes": 1000,
        "dependencies": {f"h{number}": "" for number in range(1, hosts + 1)},
    }
    return RedeployRequest(**{**usual, **changes})


@dataclass
class ServiceHost:
    """A host whose state the steps change, as the scripts would."""

    layout: str = "none"
    current: str | None = None
    previous: str | None = None
    releases: dict[str, ReleaseFacts] = field(default_factory=dict)
    building: set[str] = field(default_factory=set)
    dependencies: set[str] = field(default_factory=set)
    flat: tuple[str, ...] = ()
    written: dict[str, str] = field(default_factory=dict)
    prepared: bool = False
    adopting: bool = False
    running: str = ""
    host: HostFacts = field(default_factory=machine)
    runtime: str = "v20.1.0"
    port_taken: bool = False
    strange: tuple[str, ...] = ()
    astray: str = ""

    def facts(self) -> ServiceHostFacts:
        """What a look finds."""
        inside = f"/opt/web/releases/{self.running}" if self.running != "flat dir" else "/opt/web"
        unit = UnitFacts(
            active="active" if self.running else "inactive",
            sub="running" if self.running else "dead",
            main_pid=7 if self.running else 0,
            restarts=0,
            digest="",
            running_in=inside if self.running else "",
            socket=False,
        )
        return ServiceHostFacts(
            host=self.host,
            layout=self.layout,  # type: ignore[arg-type]
            current=self.current,
            previous=self.previous,
            releases=dict(self.releases),
            manifest=None,
            unit=unit,
            runtime=self.runtime,
            dependencies=frozenset(self.dependencies),
            flat=self.flat,
            written=self.written,
            prepared=self.prepared,
            adopting=self.adopting,
            port_taken=self.port_taken,
            strange=self.strange,
            astray=self.astray,
        )


def release(
    identity: str, source: str, *, created_s: int = 0, healthy: bool = True
) -> ReleaseFacts:
    """A complete release on a host."""
    return ReleaseFacts(
        identity,
        source,
        "recipe",
        "",
        "v20.1.0",
        created_s,
        "op",
        healthy=healthy,
        proven=healthy,
    )


class Unhealthy(Exception):
    """The gate was not passed."""


@dataclass
class ServiceWorld:
    """Hosts by name; releases made of a broken source never become healthy."""

    hosts: dict[str, ServiceHost]
    broken: frozenset[str] = frozenset()
    keep: int = 5
    clock: int = 100

    def look(self) -> ServiceFacts:
        """What all hosts say."""
        return ServiceFacts({name: one.facts() for name, one in self.hosts.items()})

    def take(self, step: Step, wanted: RedeployRequest) -> None:  # noqa: C901  one case per step
        """Let a step take effect."""
        self.clock += 1
        if isinstance(step, steps.BuildHere | steps.RunHook):
            return
        host = self.hosts[step.host]
        match step:
            case steps.PrepareService():
                host.prepared = True
            case steps.InstallDependencies(_, key):
                host.dependencies.add(key)
            case steps.StageRelease(_, name, _):
                assert host.prepared, "there is no user yet"
                known = replace(
                    release(name, wanted.source, created_s=self.clock, healthy=False),
                    dependencies=wanted.dependencies[step.host],
                )
                if wanted.builds_on_host:
                    host.building.add(name)
                else:
                    host.releases[name] = known
            case steps.BuildRelease(_, name):
                assert name in host.building, "nothing was staged to be built"
                host.releases[name] = replace(
                    release(name, wanted.source, created_s=self.clock, healthy=False),
                    dependencies=wanted.dependencies[step.host],
                )
            case steps.KeepFlat(_, name):
                host.releases[name] = release(name, "", created_s=0)
            case steps.SwitchRelease(_, name) | steps.AdoptService(_, name):
                self._switch(host, name)
                if isinstance(step, steps.AdoptService):
                    host.adopting = True
            case steps.SwitchBack(_, name, failed):
                assert host.current in (failed, name)
                host.current = host.running = name
                host.releases[name] = replace(host.releases[name], healthy=False)
            case steps.ReleaseAdopted():
                host.layout, host.current, host.adopting, host.running = (
                    "flat",
                    None,
                    False,
                    "flat dir",
                )
            case steps.AwaitService(_, name):
                self._await(host, name)
            case steps.ClearFlat():
                host.flat, host.adopting = (), False
            case steps.PruneReleases():
                self._prune(host)
            case _:
                raise AssertionError(step)

    def _switch(self, host: ServiceHost, name: str) -> None:
        assert name in host.releases, "switched to what is not there"
        if host.current != name:
            host.previous = host.current
        host.layout, host.current, host.running = "releases", name, name
        host.releases[name] = replace(host.releases[name], healthy=False)

    def _await(self, host: ServiceHost, name: str) -> None:
        if not name:
            assert host.running == "flat dir"
            return
        known = host.releases[name]
        if known.source in self.broken:
            raise Unhealthy(name)
        assert host.running == name
        host.releases[name] = replace(known, healthy=True, proven=True)

    def _prune(self, host: ServiceHost) -> None:
        kept = {host.current, host.previous}
        newest = sorted(host.releases.values(), key=lambda one: one.created_s)[-self.keep :]
        kept |= {one.id for one in newest}
        host.releases = {name: one for name, one in host.releases.items() if name in kept}


def flat_host(*files: str) -> ServiceHost:
    """A host as the original has laid it out."""
    return ServiceHost(layout="flat", flat=files or ("index.js",), running="flat dir")


def running_host(identity: str, source: str, older: Mapping[str, str] | None = None) -> ServiceHost:
    """A host that runs a release, with older ones beside it."""
    releases = {
        name: release(name, code, created_s=number)
        for number, (name, code) in enumerate((older or {}).items())
    }
    releases[identity] = release(identity, source, created_s=50)
    previous = next(reversed(list(older or {})), None)
    return ServiceHost(
        layout="releases",
        current=identity,
        previous=previous,
        releases=releases,
        prepared=True,
        running=identity,
    )
