"""What a redeployment does on a host, step by step; each carries what puts it back. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from quoracy.operation.step import Step

FLAT = "flat"
"""Release that holds a copy of the flat directory that a service was adopted from."""


@dataclass(frozen=True, slots=True)
class BuildHere(Step):
    """The tree that is shipped, made of the code on the controller; the hosts are not touched."""

    name: ClassVar[str] = "build-here"
    says: ClassVar[str] = "build for {0.architecture}"
    architecture: str


@dataclass(frozen=True, slots=True)
class PrepareService(Step):
    """The service's user and directories; changes nothing that is there."""

    name: ClassVar[str] = "prepare-service"
    says: ClassVar[str] = "make user and directories"


@dataclass(frozen=True, slots=True)
class InstallDependencies(Step):
    """A directory of dependencies, shared by all releases with the same lock file and runtime.

    Attributes:
        key: Names it: lock file, runtime and flags.
    """

    name: ClassVar[str] = "install-dependencies"
    says: ClassVar[str] = "install dependencies {0.key}"
    key: str


@dataclass(frozen=True, slots=True)
class StageRelease(Step):
    """A new release beside the others: the changed files, and the rest from the current one.

    Attributes:
        base: The release that unchanged files are taken from; "" sends everything.
    """

    name: ClassVar[str] = "stage-release"
    says: ClassVar[str] = "stage release {0.release}"
    release: str
    base: str


@dataclass(frozen=True, slots=True)
class BuildRelease(Step):
    """The build command, run in the staged release while the old one serves."""

    name: ClassVar[str] = "build-release"
    says: ClassVar[str] = "build release {0.release}"
    release: str


@dataclass(frozen=True, slots=True)
class KeepFlat(Step):
    """A copy of the flat directory as a release to go back to; nothing runs from it yet."""

    name: ClassVar[str] = "keep-flat"
    says: ClassVar[str] = "keep the flat directory as release {0.release}"
    release: str


@dataclass(frozen=True, slots=True)
class RunHook(Step):
    """A script of the release; its failure stops what comes next."""

    release: str
    moment: ClassVar[Literal["before", "after"]]


@dataclass(frozen=True, slots=True)
class RunHookBefore(RunHook):
    """The one before the switch."""

    name: ClassVar[str] = "run-hook-before"
    says: ClassVar[str] = "run the hook before the switch"
    moment: ClassVar[Literal["before", "after"]] = "before"


@dataclass(frozen=True, slots=True)
class RunHookAfter(RunHook):
    """The one after it, which alone proves the release where there is one."""

    name: ClassVar[str] = "run-hook-after"
    says: ClassVar[str] = "run the hook after the switch"
    moment: ClassVar[Literal["before", "after"]] = "after"


@dataclass(frozen=True, slots=True)
class SwitchRelease(Step):
    """Unit and link follow a staged release, and the service is restarted.

    Attributes:
        previous: The release that serves until then; "" when none does.
    """

    name: ClassVar[str] = "switch-release"
    says: ClassVar[str] = "switch to release {0.release}"
    release: str
    previous: str

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
class SwitchBack(Step):
    """Unit and link follow the release that served before."""

    name: ClassVar[str] = "switch-back"
    says: ClassVar[str] = "switch back to release {0.release}"
    release: str
    failed: str


@dataclass(frozen=True, slots=True)
class AdoptService(Step):
    """The first switch on a host laid out by the original: shared files move, unit and link are ours.

    Attributes:
        flat: The release that holds a copy of the flat directory.
    """

    name: ClassVar[str] = "adopt-service"
    says: ClassVar[str] = "adopt the service with release {0.release}"
    release: str
    flat: str

    @property
    def undo(self) -> tuple[Step, ...]:
        """The flat directory as it was, and the gate for it."""
        return (ReleaseAdopted(self.host), AwaitService(self.host, ""))


@dataclass(frozen=True, slots=True)
class ReleaseAdopted(Step):
    """Undo of an adoption: shared files, unit and flat directory as they were."""

    name: ClassVar[str] = "release-adopted"
    says: ClassVar[str] = "give the flat directory back"


@dataclass(frozen=True, slots=True)
class AwaitService(Step):
    """The gate: unit, process and health path, until all are well or the time is over.

    Attributes:
        release: What the process must run from; "" is the flat directory.
    """

    name: ClassVar[str] = "await-service"
    release: str

    @property
    def title(self) -> str:
        """With the release."""
        return f"wait until {self.release or 'the flat directory'} is healthy"


@dataclass(frozen=True, slots=True)
class ClearFlat(Step):
    """The flat files are taken away: their copy is a release by now."""

    name: ClassVar[str] = "clear-flat"
    says: ClassVar[str] = "take the flat files away, their copy is kept"


@dataclass(frozen=True, slots=True)
class PruneReleases(Step):
    """Old releases and the dependencies that only they used; never the current or the previous one."""

    name: ClassVar[str] = "prune-releases"
    says: ClassVar[str] = "remove old releases"
