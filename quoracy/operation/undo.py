"""What fails is put back, newest step first; also without a journal, and host by host."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from quoracy.aside import Abandoned, aside
from quoracy.errors import LeaseHeld, QuoracyError, RollbackFailed, RolledBack, StepFailed
from quoracy.operation.journal import Journal
from quoracy.operation.plan import Group
from quoracy.operation.step import Step


def put_back(
    acted: Iterable[Step],
    group: Group,
    scope: str | None,
    journal: Journal,
    apply: Callable[[Step], str],
    error: BaseException,
) -> None:
    """Undo the steps, newest first, and raise what became of it.

    A host where putting back fails is left as it is then; the other hosts are still put back.

    Args:
        scope: Title of the group whose steps these are; None when they are those of all groups.
        error: What has failed; raised as it is when there is nothing to put back.

    Raises:
        RolledBack: All is put back, and serves again if it served before.
        StepFailed: All is put back, and what it works on did not serve before.
        RollbackFailed: On a host it is not.
        LeaseHeld: Another operation acts there now.
    """
    undo = [back for step in reversed(list(acted)) for back in step.undo]
    if not undo:
        raise error
    failures = _undone(undo, group, journal, apply, error)
    aside(journal.catch_up)
    if not failures:
        aside(partial(journal.all_put_back, scope))
    raise _outcome(undo, failures, group, error) from error


def _undone(
    undo: Iterable[Step],
    group: Group,
    journal: Journal,
    apply: Callable[[Step], str],
    error: BaseException,
) -> dict[str, str]:
    """Take the steps; what failed, by host: the rest of that host's are not taken.

    Raises:
        LeaseHeld: Another operation acts there now.
    """
    failures: dict[str, str] = {}
    for step in undo:
        if step.host in failures:
            continue
        try:
            aside(partial(journal.undo, step, group.title, apply))
        except LeaseHeld as held:
            raise _taken_over(held, error, group) from error
        except Exception as failure:  # noqa: BLE001  any failure here is a failed rollback
            failures[step.host] = f"{step.title}: {_failure(failure, error)}"
    return failures


def _outcome(
    undo: Iterable[Step], failures: Mapping[str, str], group: Group, error: BaseException
) -> QuoracyError:
    """What became of it; what the hosts said stands below, as the first line alone is what lists show."""
    what, where = _said(error, group)
    what, more = _first_line(what)
    if failures:
        told = {host: _first_line(failure) for host, failure in failures.items()}
        said = "; ".join(f"{host}: {first}" for host, (first, _) in told.items())
        more += "".join(rest for _, rest in told.values())
        return RollbackFailed(
            f"{what}; and putting back failed at {said}{more}",
            where=where,
            next_step="look at that host now, put right what failed there, and run the same command again",
        )
    hosts = list(dict.fromkeys(step.host for step in undo if step.host))
    there = f" on {', '.join(hosts)}" if hosts not in ([], [where]) else ""
    back = f"what had been changed was put back{there}"
    again = "remove the cause and run the same command again"
    if not group.served:
        # No proof was waited for: "rolled back" would say that it serves.
        unproven = "it did not serve before, and was not waited for"
        return StepFailed(f"{what}; {back}; {unproven}{more}", where=where, next_step=again)
    return RolledBack(f"{what}; {back}{more}", where=where, next_step=again)


def _failure(failure: Exception, error: BaseException) -> str:
    """Why putting back failed; what has been said already is not said again."""
    if isinstance(failure, QuoracyError) and failure.what == getattr(error, "what", None):
        return "for the same reason"
    return str(failure)


def _taken_over(held: LeaseHeld, error: BaseException, group: Group) -> LeaseHeld:
    """Somebody else acts now, and goes on from what lies there: putting back would fight with them."""
    what, _ = _said(error, group)
    return LeaseHeld(
        f"{held.what}; nothing is put back by this one, whose step ended like this: {what}",
        where=held.where,
        next_step=held.next_step,
    )


def _said(error: BaseException, group: Group) -> tuple[str, str]:
    """What happened and where, of an error of ours, a defect or an interruption."""
    if isinstance(error, QuoracyError):
        return error.what, error.where
    if isinstance(error, Exception):
        return f"{type(error).__name__}: {error}", group.title
    if isinstance(error, KeyboardInterrupt):
        return _interruption(error), group.title
    return "cancelled", group.title


def not_put_back(error: BaseException, group: Group) -> RollbackFailed:
    """What a failure is called where the steps themselves put back."""
    what, where = _said(error, group)
    return RollbackFailed(
        f"putting back failed: {what}",
        where=where,
        next_step="look at that host now, put right what failed there, and run the same command again",
    )


def cut_off(error: KeyboardInterrupt, where: str) -> StepFailed:
    """What an interruption is called where there was nothing to put back, or putting back was cut off, too."""
    return StepFailed(
        f"{_interruption(error)}, and what is half done stays as it is"
        + ("; the step that was under way may still go on" if isinstance(error, Abandoned) else ""),
        where=where,
        next_step="run the same command again, which goes on from there",
    )


def _interruption(error: KeyboardInterrupt) -> str:
    return str(error) or "interrupted by Ctrl-C"  # SIGTERM and SIGHUP say their names


def _first_line(text: str) -> tuple[str, str]:
    """It, without the dot at its end, and what stands below."""
    first, newline, rest = text.partition("\n")
    return first.rstrip("."), newline + rest
