"""The vocabulary of etcd operations: every effect that a plan may ask for, and its undo. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import ClassVar

from quoracy.etcd.templates import Generation
from quoracy.operation.plan import Step


@dataclass(frozen=True, slots=True)
class _HostStep:
    """Base: most steps change nothing that has to be put back."""

    host: str

    @property
    def undo(self) -> tuple[Step, ...]:
        """Nothing to put back."""
        return ()


@dataclass(frozen=True, slots=True)
class TakeSnapshot(_HostStep):
    """Save a snapshot through this member, verify it, bring it to the store, catalogue it.

    Attributes:
        db_bytes: Size of the member's database, which tells how long that may take.
    """

    least_revision: int
    db_bytes: int
    name: ClassVar[str] = "take-snapshot"

    @property
    def title(self) -> str:
        """What it does."""
        return "take a verified snapshot"


@dataclass(frozen=True, slots=True)
class PrepareHost(_HostStep):
    """System user and directories."""

    name: ClassVar[str] = "prepare-host"
    title: ClassVar[str] = "make user and directories"


@dataclass(frozen=True, slots=True)
class InstallRelease(_HostStep):
    """Put the binaries of a version into a directory of their own."""

    version: str
    name: ClassVar[str] = "install-release"

    @property
    def title(self) -> str:
        """What it does."""
        return f"install etcd {self.version}"


@dataclass(frozen=True, slots=True)
class WriteCertificates(_HostStep):
    """Make or take the host's certificates and put them in place."""

    name: ClassVar[str] = "write-certificates"
    title: ClassVar[str] = "write certificates"


@dataclass(frozen=True, slots=True)
class StageGeneration(_HostStep):
    """Put configuration, unit and check beside those in use."""

    generation: Generation = field(repr=False)
    name: ClassVar[str] = "stage-generation"

    @property
    def title(self) -> str:
        """What it does."""
        return f"stage generation {self.generation.identity}"


@dataclass(frozen=True, slots=True)
class WriteBootstrap(_HostStep):
    """Write the keys of the first start, which is also the journal of the create.

    Attributes:
        withdraw: Whether its undo removes them; not once a member of the new cluster has a log.
    """

    content: str = field(repr=False)
    withdraw: bool
    name: ClassVar[str] = "write-bootstrap"
    title: ClassVar[str] = "write the keys of the first start"

    @property
    def undo(self) -> tuple[Step, ...]:
        """Remove them: the next create may be one of other members."""
        return (WithdrawBootstrap(self.host),) if self.withdraw else ()


@dataclass(frozen=True, slots=True)
class WithdrawBootstrap(_HostStep):
    """Undo of writing the keys of the first start."""

    name: ClassVar[str] = "withdraw-bootstrap"
    title: ClassVar[str] = "remove the keys of the first start"


@dataclass(frozen=True, slots=True)
class SwitchGeneration(_HostStep):
    """Let unit and binaries follow another generation; the process is not touched.

    Attributes:
        identity: The generation to follow.
        previous: The one followed until now; None in a create.
        content: What it must hold; see `require_content`.
        previous_content: What the one to go back to holds.
        withdraw: Whether the undo of a first switch removes unit and link; not once a member of
            the new cluster has a log.
    """

    identity: str
    previous: str | None
    content: str = field(default="", repr=False)
    previous_content: str = field(default="", repr=False)
    withdraw: bool = True
    name: ClassVar[str] = "switch-generation"

    @property
    def title(self) -> str:
        """What it does."""
        return f"switch to generation {self.identity}"

    @property
    def undo(self) -> tuple[Step, ...]:
        """Follow the previous generation again."""
        if self.previous is None:
            return (WithdrawGeneration(self.host),) if self.withdraw else ()
        contents = self.previous_content, self.content
        return (SwitchGeneration(self.host, self.previous, self.identity, *contents),)


@dataclass(frozen=True, slots=True)
class WithdrawGeneration(_HostStep):
    """Undo of a first switch."""

    name: ClassVar[str] = "withdraw-generation"
    title: ClassVar[str] = "remove unit and link"


@dataclass(frozen=True, slots=True)
class FormMember(_HostStep):
    """First start of a member: it waits for the others and forms the cluster with them.

    Attributes:
        fresh: No member of the cluster has a log yet, so that all of them can be withdrawn. Once
            one has, the others may have voted for what it holds and must not forget it.
        content: What it must be started with; see `require_content`.
    """

    fresh: bool
    content: str = field(default="", repr=False)
    name: ClassVar[str] = "form-member"
    title: ClassVar[str] = "start for the first time"

    @property
    def undo(self) -> tuple[Step, ...]:
        """Stop it and move its young data aside, as all members of a fresh cluster do."""
        return (WithdrawMember(self.host),) if self.fresh else ()


@dataclass(frozen=True, slots=True)
class WithdrawMember(_HostStep):
    """Undo of a first start: stop, disable, move the data aside, forget the cluster's ID."""

    name: ClassVar[str] = "withdraw-member"
    title: ClassVar[str] = "stop, disable and move the data aside"


@dataclass(frozen=True, slots=True)
class StopMember(_HostStep):
    """Stop a running member, unless what is to be started instead is not there.

    Attributes:
        content: What that is; see `require_content`.
        previous_content: What it is started with again when it is put back.
        served: Whether it was seen serving; only then is it waited for when it is put back.
    """

    content: str = field(default="", repr=False)
    previous_content: str = field(default="", repr=False)
    served: bool = True
    name: ClassVar[str] = "stop-member"
    title: ClassVar[str] = "stop"

    @property
    def undo(self) -> tuple[Step, ...]:
        """Start it again, and wait for it if it served."""
        if not self.served:
            return (ResumeMember(self.host, self.previous_content),)
        start = StartMember(self.host, content=self.previous_content)
        return (start, AwaitMember(self.host))


@dataclass(frozen=True, slots=True)
class ResumeMember(_HostStep):
    """Let systemd try to start a member that did not serve before either; nothing waits for it.

    Attributes:
        content: What it is started with; see `require_content`.
    """

    content: str = field(default="", repr=False)
    name: ClassVar[str] = "resume-member"
    title: ClassVar[str] = "start without waiting, as it did not serve before"


@dataclass(frozen=True, slots=True)
class StartMember(_HostStep):
    """Start a stopped member.

    Attributes:
        unchanged: It runs what it ran before: when it does not come up there is nothing to put
            back, and stopping it again could take away a quorum that has just been regained.
        content: What it must be started with; see `require_content`.
    """

    unchanged: bool = False
    content: str = field(default="", repr=False)
    name: ClassVar[str] = "start-member"
    title: ClassVar[str] = "start"

    @property
    def undo(self) -> tuple[Step, ...]:
        """Stop it, so that what runs can be put back."""
        return () if self.unchanged else (HaltMember(self.host),)


@dataclass(frozen=True, slots=True)
class EnableMember(_HostStep):
    """Let the unit start when the host boots; nothing is restarted."""

    name: ClassVar[str] = "enable-member"
    title: ClassVar[str] = "start it at boot"


@dataclass(frozen=True, slots=True)
class HaltMember(_HostStep):
    """Stop a member that did not come up; part of putting back, itself not undone."""

    name: ClassVar[str] = "halt-member"
    title: ClassVar[str] = "stop what did not come up"


@dataclass(frozen=True, slots=True)
class AwaitMember(_HostStep):
    """Wait until the member serves, has caught up, and stays so for two election timeouts."""

    name: ClassVar[str] = "await-member"
    title: ClassVar[str] = "wait until healthy and caught up"


@dataclass(frozen=True, slots=True)
class PinCluster(_HostStep):
    """Remember the new cluster's ID in the database; withdrawing its members forgets it."""

    name: ClassVar[str] = "pin-cluster"
    title: ClassVar[str] = "remember the cluster's ID"


@dataclass(frozen=True, slots=True)
class FinishBootstrap(_HostStep):
    """Mark the data with the cluster's ID and drop the keys of the first start."""

    name: ClassVar[str] = "finish-bootstrap"
    title: ClassVar[str] = "mark the data, drop the keys of the first start"


_UNDO = {
    step.name: step
    for step in (
        SwitchGeneration,
        WithdrawBootstrap,
        WithdrawGeneration,
        WithdrawMember,
        ResumeMember,
        StartMember,
        HaltMember,
        AwaitMember,
    )
}


def undo_from_json(text: str) -> tuple[Step, ...]:
    """The steps that the journal keeps for putting one back."""
    return tuple(
        _UNDO[fields["name"]](**{key: fields[key] for key in fields if key != "name"})
        for fields in json.loads(text)
    )
