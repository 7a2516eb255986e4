"""The vocabulary of etcd operations: every effect that a plan may ask for, its undo, and its script. Pure.

A step without a script is more than one: `apply.py` says what.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from quoracy.etcd import scripts
from quoracy.etcd.spec import EtcdCluster
from quoracy.etcd.templates import Generation
from quoracy.operation.step import INCIDENTAL, Script, Step

SHORT_S, SWITCH_S = 30.0, 60.0


def _start_s(cluster: EtcdCluster) -> float:
    return cluster.systemd.start_timeout_s + 10.0


def _stop_s(cluster: EtcdCluster) -> float:
    return cluster.systemd.stop_timeout_s + 10.0


@dataclass(frozen=True, slots=True)
class TakeSnapshot(Step):
    """Save a snapshot through this member, verify it, bring it to the store, catalogue it.

    Attributes:
        db_bytes: Size of the member's database, which tells how long that may take.
    """

    least_revision: int
    db_bytes: int
    name: ClassVar[str] = "take-snapshot"
    says: ClassVar[str] = "take a verified snapshot"


@dataclass(frozen=True, slots=True)
class PrepareHost(Step):
    """System user and directories."""

    name: ClassVar[str] = "prepare-host"
    says: ClassVar[str] = "make user and directories"

    def script(self, cluster: EtcdCluster) -> Script:
        """On its host."""
        return Script(scripts.prepare_host(cluster), SHORT_S)


@dataclass(frozen=True, slots=True)
class InstallRelease(Step):
    """Put the binaries of a version into a directory of their own."""

    version: str
    name: ClassVar[str] = "install-release"
    says: ClassVar[str] = "install etcd {0.version}"


@dataclass(frozen=True, slots=True)
class WriteCertificates(Step):
    """Make or take the host's certificates and put them in place."""

    name: ClassVar[str] = "write-certificates"
    says: ClassVar[str] = "write certificates"


@dataclass(frozen=True, slots=True)
class StageGeneration(Step):
    """Put configuration, unit and check beside those in use."""

    generation: Generation = field(repr=False)
    name: ClassVar[str] = "stage-generation"
    says: ClassVar[str] = "stage generation {0.generation.identity}"

    def script(self, cluster: EtcdCluster) -> Script:
        """On its host."""
        return Script(scripts.stage_generation(cluster, self.generation), SHORT_S)


@dataclass(frozen=True, slots=True)
class WriteBootstrap(Step):
    """Write the keys of the first start, which is also the journal of the create.

    Attributes:
        content: With a token that is drawn for each plan.
        withdraw: Whether its undo removes them; not once a member of the new cluster has a log.
    """

    content: str = field(repr=False, metadata=INCIDENTAL)
    withdraw: bool
    name: ClassVar[str] = "write-bootstrap"
    says: ClassVar[str] = "write the keys of the first start"

    @property
    def undo(self) -> tuple[Step, ...]:
        """Remove them: the next create may be one of other members."""
        return (WithdrawBootstrap(self.host),) if self.withdraw else ()

    def script(self, cluster: EtcdCluster) -> Script:
        """On its host."""
        return Script(scripts.write_bootstrap(cluster, self.content), SHORT_S)


@dataclass(frozen=True, slots=True)
class WithdrawBootstrap(Step):
    """Undo of writing the keys of the first start."""

    name: ClassVar[str] = "withdraw-bootstrap"
    says: ClassVar[str] = "remove the keys of the first start"

    def script(self, cluster: EtcdCluster) -> Script:
        """On its host."""
        return Script(scripts.withdraw_bootstrap(cluster), SHORT_S)


@dataclass(frozen=True, slots=True)
class SwitchGeneration(Step):
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
    says: ClassVar[str] = "switch to generation {0.identity}"

    @property
    def undo(self) -> tuple[Step, ...]:
        """Follow the previous generation again."""
        if self.previous is None:
            return (WithdrawGeneration(self.host),) if self.withdraw else ()
        contents = self.previous_content, self.content
        return (SwitchGeneration(self.host, self.previous, self.identity, *contents),)

    def script(self, cluster: EtcdCluster) -> Script:
        """On its host."""
        return Script(scripts.switch_generation(cluster, self.identity, self.content), SWITCH_S)


@dataclass(frozen=True, slots=True)
class WithdrawGeneration(Step):
    """Undo of a first switch."""

    name: ClassVar[str] = "withdraw-generation"
    says: ClassVar[str] = "remove unit and link"

    def script(self, cluster: EtcdCluster) -> Script:
        """On its host."""
        return Script(scripts.withdraw_generation(cluster), SWITCH_S)


@dataclass(frozen=True, slots=True)
class FormMember(Step):
    """First start of a member: it waits for the others and forms the cluster with them.

    Attributes:
        fresh: No member of the cluster has a log yet, so that all of them can be withdrawn. Once
            one has, the others may have voted for what it holds and must not forget it.
        content: What it must be started with; see `require_content`.
    """

    fresh: bool
    content: str = field(default="", repr=False)
    name: ClassVar[str] = "form-member"
    says: ClassVar[str] = "start for the first time"

    @property
    def undo(self) -> tuple[Step, ...]:
        """Stop it and move its young data aside, as all members of a fresh cluster do."""
        return (WithdrawMember(self.host),) if self.fresh else ()

    def script(self, cluster: EtcdCluster) -> Script:
        """On its host."""
        return Script(scripts.form_member(cluster, self.content), _start_s(cluster))


@dataclass(frozen=True, slots=True)
class WithdrawMember(Step):
    """Undo of a first start: stop, disable, move the data aside, forget the cluster's ID."""

    name: ClassVar[str] = "withdraw-member"
    says: ClassVar[str] = "stop, disable and move the data aside"


@dataclass(frozen=True, slots=True)
class StopMember(Step):
    """Stop a running member, unless what is to be started instead is not there.

    Attributes:
        content: What that is; see `require_content`.
        previous_content: What it is started with again when it is put back.
        served: Whether it was seen serving; only then is it waited for when it is put back.
    """

    content: str = field(default="", repr=False)
    previous_content: str = field(default="", repr=False)
    served: bool = field(default=True, metadata=INCIDENTAL)
    name: ClassVar[str] = "stop-member"
    says: ClassVar[str] = "stop"

    @property
    def undo(self) -> tuple[Step, ...]:
        """Start it again, and wait for it if it served."""
        if not self.served:
            return (ResumeMember(self.host, self.previous_content),)
        start = StartMember(self.host, content=self.previous_content)
        return (start, AwaitMember(self.host))

    def script(self, cluster: EtcdCluster) -> Script:
        """On its host."""
        return Script(scripts.stop_member(cluster, self.content), _stop_s(cluster))


@dataclass(frozen=True, slots=True)
class ResumeMember(Step):
    """Let systemd try to start a member that did not serve before either; nothing waits for it.

    Attributes:
        content: What it is started with; see `require_content`.
    """

    content: str = field(default="", repr=False)
    name: ClassVar[str] = "resume-member"
    says: ClassVar[str] = "start without waiting, as it did not serve before"

    def script(self, cluster: EtcdCluster) -> Script:
        """On its host."""
        return Script(scripts.resume_member(cluster, self.content), SHORT_S)


@dataclass(frozen=True, slots=True)
class StartMember(Step):
    """Start a stopped member.

    Attributes:
        unchanged: It runs what it ran before: when it does not come up there is nothing to put
            back, and stopping it again could take away a quorum that has just been regained.
        content: What it must be started with; see `require_content`.
    """

    unchanged: bool = False
    content: str = field(default="", repr=False)
    name: ClassVar[str] = "start-member"
    says: ClassVar[str] = "start"

    @property
    def undo(self) -> tuple[Step, ...]:
        """Stop it, so that what runs can be put back."""
        return () if self.unchanged else (HaltMember(self.host),)

    def script(self, cluster: EtcdCluster) -> Script:
        """On its host."""
        return Script(scripts.start_member(cluster, self.content), _start_s(cluster))


@dataclass(frozen=True, slots=True)
class EnableMember(Step):
    """Let the unit start when the host boots; nothing is restarted."""

    name: ClassVar[str] = "enable-member"
    says: ClassVar[str] = "start it at boot"

    def script(self, cluster: EtcdCluster) -> Script:
        """On its host."""
        return Script(scripts.enable_member(cluster), SHORT_S)


@dataclass(frozen=True, slots=True)
class HaltMember(Step):
    """Stop a member that did not come up; part of putting back, itself not undone."""

    name: ClassVar[str] = "halt-member"
    says: ClassVar[str] = "stop what did not come up"

    def script(self, cluster: EtcdCluster) -> Script:
        """On its host."""
        return Script(scripts.stop_member(cluster), _stop_s(cluster))


@dataclass(frozen=True, slots=True)
class AwaitMember(Step):
    """Wait until the member serves, has caught up, and stays so for two election timeouts."""

    name: ClassVar[str] = "await-member"
    says: ClassVar[str] = "wait until healthy and caught up"


@dataclass(frozen=True, slots=True)
class PinCluster(Step):
    """Remember the new cluster's ID in the database; withdrawing its members forgets it."""

    name: ClassVar[str] = "pin-cluster"
    says: ClassVar[str] = "remember the cluster's ID"


@dataclass(frozen=True, slots=True)
class FinishBootstrap(Step):
    """Mark the data with the cluster's ID and drop the keys of the first start."""

    name: ClassVar[str] = "finish-bootstrap"
    says: ClassVar[str] = "mark the data, drop the keys of the first start"
