"""What a redeployment does on a host, step by step; each carries what puts it back. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from quoracy.operation.plan import Step

HOOK_AFTER = "run-hook-after"
FLAT = "flat"
"""Release that holds a copy of the flat directory that a service was adopted from."""


@dataclass(frozen=True, slots=True)
class BuildHere:
    """The tree that is shipped, made of the code on the controller; the hosts are not touched."""

    name: ClassVar = "build-here"
    architecture: str
    host: str = ""
    undo: tuple[Step, ...] = ()

    @property
    def title(self) -> str:
        """With the architecture."""
        return f"build for {self.architecture}"


@dataclass(frozen=True, slots=True)
class PrepareService:
    """The service's user and directories; changes nothing that is there."""

    name: ClassVar = "prepare-service"
    title: ClassVar = "make user and directories"
    host: str
    undo: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class InstallDependencies:
    """A directory of dependencies, shared by all releases with the same lock file and runtime.

    Attributes:
        key: Names it: lock file, runtime and flags.
    """

    name: ClassVar = "install-dependencies"
    host: str
    key: str
    undo: tuple[Step, ...] = ()

    @property
    def title(self) -> str:
        """With the key, so that two plans can be told apart."""
        return f"install dependencies {self.key}"


@dataclass(frozen=True, slots=True)
class StageRelease:
    """A new release beside the others: the changed files, and the rest from the current one.

    Attributes:
        base: The release that unchanged files are taken from; "" sends everything.
    """

    name: ClassVar = "stage-release"
    host: str
    release: str
    base: str
    undo: tuple[Step, ...] = ()

    @property
    def title(self) -> str:
        """With the release."""
        return f"stage release {self.release}"


@dataclass(frozen=True, slots=True)
class BuildRelease:
    """The build command, run in the staged release while the old one serves."""

    name: ClassVar = "build-release"
    host: str
    release: str
    undo: tuple[Step, ...] = ()

    @property
    def title(self) -> str:
        """With the release."""
        return f"build release {self.release}"


@dataclass(frozen=True, slots=True)
class KeepFlat:
    """A copy of the flat directory as a release to go back to; nothing runs from it yet."""

    name: ClassVar = "keep-flat"
    host: str
    release: str
    undo: tuple[Step, ...] = ()

    @property
    def title(self) -> str:
        """With the release."""
        return f"keep the flat directory as release {self.release}"


@dataclass(frozen=True, slots=True)
class RunHook:
    """A script of the release; its failure stops what comes next.

    Attributes:
        moment: "before" or "after" the switch.
    """

    host: str
    release: str
    moment: Literal["before", "after"]
    undo: tuple[Step, ...] = ()

    @property
    def name(self) -> str:
        """With the moment: only the later one proves the release."""
        return f"run-hook-{self.moment}"

    @property
    def title(self) -> str:
        """With its moment."""
        return f"run the hook {self.moment} the switch"


@dataclass(frozen=True, slots=True)
class SwitchRelease:
    """Unit and link follow a staged release, and the service is restarted.

    Attributes:
        previous: The release that serves until then; "" when none does.
    """

    name: ClassVar = "switch-release"
    host: str
    release: str
    previous: str

    @property
    def title(self) -> str:
        """With the release."""
        return f"switch to release {self.release}"

    @property
    def undo(self) -> tuple[Step, ...]:
        """Back to the release that served, and the same gate for it."""
        if not self.previous:
            return ()
        return (
            SwitchBack(self.host, self.previous, self.release),
            AwaitService(self.host, self.previous),
        )


@dataclass(frozen=True, slots=True)
class SwitchBack:
    """Unit and link follow the release that served before."""

    name: ClassVar = "switch-back"
    host: str
    release: str
    failed: str
    undo: tuple[Step, ...] = ()

    @property
    def title(self) -> str:
        """With the release."""
        return f"switch back to release {self.release}"


@dataclass(frozen=True, slots=True)
class AdoptService:
    """The first switch on a host laid out by the original: shared files move, unit and link are ours.

    Attributes:
        flat: The release that holds a copy of the flat directory.
    """

    name: ClassVar = "adopt-service"
    host: str
    release: str
    flat: str

    @property
    def title(self) -> str:
        """With the release."""
        return f"adopt the service with release {self.release}"

    @property
    def undo(self) -> tuple[Step, ...]:
        """The flat directory as it was, and the gate for it."""
        return (ReleaseAdopted(self.host), AwaitService(self.host, ""))


@dataclass(frozen=True, slots=True)
class ReleaseAdopted:
    """Undo of an adoption: shared files, unit and flat directory as they were."""

    name: ClassVar = "release-adopted"
    title: ClassVar = "give the flat directory back"
    host: str
    undo: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class AwaitService:
    """The gate: unit, process and health path, until all are well or the time is over.

    Attributes:
        release: What the process must run from; "" is the flat directory.
    """

    name: ClassVar = "await-service"
    host: str
    release: str
    undo: tuple[Step, ...] = ()

    @property
    def title(self) -> str:
        """With the release."""
        return f"wait until {self.release or 'the flat directory'} is healthy"


@dataclass(frozen=True, slots=True)
class ClearFlat:
    """The flat files are taken away: their copy is a release by now."""

    name: ClassVar = "clear-flat"
    title: ClassVar = "take the flat files away, their copy is kept"
    host: str
    undo: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class PruneReleases:
    """Old releases and the dependencies that only they used; never the current or the previous one."""

    name: ClassVar = "prune-releases"
    title: ClassVar = "remove old releases"
    host: str
    undo: tuple[Step, ...] = ()
