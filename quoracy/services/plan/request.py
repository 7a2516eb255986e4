"""What a redeployment is asked to bring to the hosts. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from quoracy.services.facts import ServiceHostFacts
from quoracy.services.manifest import Difference


@dataclass(frozen=True, slots=True)
class RedeployRequest:
    """What is to run, as far as the controller knows it.

    Attributes:
        source: Digest of the code's manifest.
        recipe: Digest of how it is made and run.
        unit: SHA-256 of the unit's text; "" when the service has none of its own.
        paths: The code's paths, each with its content: SHA-256 of a file, target of a link.
        files: What differs on a host, where the code is shipped as it is and the host has said what it has.
        outputs: What a build makes of it: such files in a flat directory need not be named.
        bytes: Size of the code.
        dependencies: Key of the dependencies on each host; "" when there are none.
        builds_here: Whether a tree is made on the controller before it is shipped.
        builds_on_host: Whether the build command runs there.
        drifted: Hosts where files of the current release are not as they were shipped.
        forced: Whether the release is made anew where it is the same.
        token: Tells a release that is made anew from the one that it repeats.
        note: For people: what the code is, such as a revision.
    """

    source: str
    recipe: str
    paths: Mapping[str, str]
    bytes: int
    dependencies: Mapping[str, str]
    builds_here: bool = False
    builds_on_host: bool = False
    drifted: frozenset[str] = frozenset()
    unit: str = ""
    files: Mapping[str, Difference] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    forced: bool = False
    token: str = ""
    note: str = ""

    def release(self, host: str, found: ServiceHostFacts) -> str:
        """The release's ID on a host: the same code, made in the same way, has the same.

        One that was made anew before, and is what is wanted, stays.
        """
        current = found.releases.get(found.current or "")
        parts = (self.source, self.recipe, self.dependencies[host])
        name = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
        if self.forced or host in self.drifted:
            return f"{name}-{self.token}"
        if current and (current.source, current.recipe, current.dependencies) == parts:
            return current.id
        return name
