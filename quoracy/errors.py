"""The exceptions of Quoracy; every one of them says what happened, where, and what to do next.

::

    QuoracyError                 exit code 1
    ├── UsageError               exit code 2   the user's input cannot be used
    ├── Refused                  exit code 3   a check says no; nothing was changed
    │   └── LeaseHeld            another operation works on the same cluster
    ├── RemoteError              a host did not do as asked
    │   ├── HostUnreachable      no SSH connection
    │   ├── ForwardingForbidden  its sshd lets no request through to a port there
    │   ├── HostKeyRejected      the host's key is unknown or has changed
    │   ├── AnswerUnreadable     what it answered is not what was asked for
    │   ├── CommandFailed        a remote script ended with a non-zero exit code
    │   └── CommandTimeout       a remote script did not end in time
    ├── ReleaseError             a release cannot be had or does not match its checksum
    ├── StoreError               a snapshot store did not do as asked
    ├── BackupFailed             no verified snapshot, so nothing was changed
    ├── PlanChanged              the hosts no longer match the plan that was shown
    ├── Stopped                  someone asked for a stop between two members or hosts
    │   └── NotApproved          ... by not approving what comes after the first
    └── StepFailed               a step failed
        ├── RolledBack           ... and what it had changed was put back
        └── RollbackFailed       ... and putting back failed as well
"""

from __future__ import annotations

from quoracy.plain import plain
from quoracy.redact import redact


class QuoracyError(Exception):
    """Base of all errors that are reported to the user as a message, never as a traceback.

    Args:
        what: What happened, one sentence.
        where: The host, member, file or field it happened at; empty when it concerns everything.
        next_step: What the user does next; empty only when nothing can be advised.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", next_step: str = "") -> None:
        # A message may repeat what a host, an app or a file has said.
        self.what, self.where, self.next_step = plain(what), plain(where), plain(next_step)
        super().__init__(self.what)

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        advice = f"\n  Next: {self.next_step}" if self.next_step else ""
        notes = "".join(f"\n  Also: {plain(note)}" for note in getattr(self, "__notes__", ()))
        return f"{place}{self.what}{notes}{advice}"


class UsageError(QuoracyError):
    """The user's input (spec, option, name) cannot be used."""

    exit_code = 2


class Refused(QuoracyError):
    """A check refuses to go on; nothing was changed."""

    exit_code = 3


class LeaseHeld(Refused):
    """Another operation works on the same cluster."""


class RemoteError(QuoracyError):
    """A host did not do as asked."""


class HostUnreachable(RemoteError):
    """No SSH connection to the host could be made."""


class ForwardingForbidden(RemoteError):
    """The host's sshd lets no request through to a port there; asking again is of no use."""


class HostKeyRejected(RemoteError):
    """The host's key is unknown or differs from the one that is trusted."""


class AnswerUnreadable(RemoteError):
    """A host answered, but with something else than what was asked for: it counts as silent."""


class CommandFailed(RemoteError):
    """A remote script ended with a non-zero exit code.

    Args:
        what: What the script was for.
        exit_code_remote: The exit code of the script on the host.
        stderr: What it wrote to standard error, decoded, at most the last 2,000 characters.
    """

    def __init__(self, what: str, *, where: str, exit_code_remote: int, stderr: str) -> None:
        # While it is whole: a message is put together and cut, and half a key is not known as one.
        tail = redact(plain(stderr).strip())[-2000:]
        said = f": {tail}" if tail else ""
        super().__init__(f"{what} failed with exit code {exit_code_remote}{said}", where=where)
        self.exit_code_remote = exit_code_remote
        self.stderr = stderr


class CommandTimeout(RemoteError):
    """A remote script did not end in time; the host has killed it."""


class ReleaseError(QuoracyError):
    """A release cannot be had, or what was had does not match its checksum."""


class StoreError(QuoracyError):
    """A snapshot store did not do as asked."""


class BackupFailed(QuoracyError):
    """There is no verified snapshot, so nothing was changed."""


class PlanChanged(QuoracyError):
    """The hosts no longer match the plan that was shown; the operation stopped between members or hosts."""


class Stopped(QuoracyError):
    """Someone asked for a stop; nothing is half done, and running again goes on."""


class NotApproved(Stopped):
    """What comes after the first member was not approved."""


class StepFailed(QuoracyError):
    """A step failed and nothing had to be, or could be, put back."""


class RolledBack(StepFailed):
    """A step failed and what the operation had changed there was put back.

    In a roll that was verified: the member serves again. A create is taken off the hosts.
    """


class RollbackFailed(StepFailed):
    """A step failed and putting back failed as well: someone has to look at the host."""
