"""The loop that all operations share: apply, check, look again, put back. Knows no etcd, no Prefect.

After each group of steps the cluster is looked at and planned anew; what is left must be what was
shown, or the operation stops and says what changed (law 3).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from quoracy.aside import Abandoned, aside, require_uncut, side_by_side
from quoracy.errors import (
    LeaseHeld,
    PlanChanged,
    QuoracyError,
    Refused,
    RollbackFailed,
    RolledBack,
    Stopped,
)
from quoracy.operation.interrupt import ended_once, stop_asked
from quoracy.operation.journal import Journal
from quoracy.operation.plan import Group, Plan, Undoes, remaining_actions
from quoracy.operation.step import Step
from quoracy.operation.undo import cut_off, not_put_back, put_back

HOSTS_AT_ONCE = 16


class Work(Protocol):
    """What an operation can do; given by the operation, carried by whoever runs it."""

    def look(self) -> Plan:
        """Look at the cluster and plan; changes nothing."""

    def gate(self, group: Group) -> None:
        """Raise Refused unless the group's first step may be taken now."""

    def apply(self, step: Step) -> str:
        """Carry out one step and return a line for the journal."""

    def enter(self, group: Group, body: Callable[[], None]) -> None:
        """Run the body as this group's part of the run history."""

    def approve(self, done: Group, left: tuple[Group, ...]) -> bool:
        """Ask whether to go on after a group, when that was wanted; whether anybody was asked.

        Raises:
            NotApproved: It was not approved.
        """


def carry_out(plan: Plan, work: Work, journal: Journal) -> None:
    """Apply a plan that was shown.

    Raises:
        PlanChanged: What is left is no longer what was shown; nothing is half done.
        Refused: A gate says no; nothing is half done.
        Stopped: Someone asked for a stop, or did not approve what is left; nothing is half done.
        RolledBack: A step failed, what the group (or a create) had changed was put back, and it serves as before.
        StepFailed: A step failed; what had been changed was put back, where nothing served before.
        RollbackFailed: Putting back failed as well.
    """
    # Looked at under the lease: what the backup must hold, and who takes it, may have moved on.
    now = aside(work.look)
    _require_same(plan.groups, now)
    aside(partial(journal.plan, now))
    course = _Course(work, journal, plan.undoes)
    try:
        for step in now.before:
            aside(partial(journal.step, step, work.apply))
        with ended_once():
            _take_groups(now, course)
    except (LeaseHeld, Stopped):
        raise
    except KeyboardInterrupt as error:
        raise cut_off(error, plan.cluster) from error
    except QuoracyError as error:
        if course.kept:
            error.add_note(_kept_words(course.kept, plan))
        raise


@dataclass(slots=True)
class _Course:
    """One plan while it is applied.

    Attributes:
        done: Steps that a failure puts back, where all groups are.
        kept: Hosts that keep what was changed there, whatever fails later.
    """

    work: Work
    journal: Journal
    undoes: Undoes
    done: list[Step] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


def _take_groups(now: Plan, course: _Course) -> None:
    work, groups = course.work, now.groups
    while groups:
        _require_no_stop(now, groups)
        group, rest = groups[0], groups[1:]
        try:
            work.enter(group, lambda group=group: _run_once(group, course))  # type: ignore[misc]
        except (LeaseHeld, RolledBack, RollbackFailed, Abandoned):
            raise
        except BaseException as error:
            if course.undoes == "all" and course.done:
                put_back(course.done, group, None, course.journal, work.apply, error)
            raise
        groups = _what_is_left(rest, work)
        if groups and work.approve(group, groups):
            groups = _what_is_left(groups, work)  # an answer may take an hour


def _kept_words(kept: list[str], plan: Plan) -> str:
    keep = "keeps" if len(kept) == 1 else "keep"
    more = f"; {plan.way_back}" if plan.way_back else ""
    return f"{', '.join(kept)} {keep} what was changed there{more}"


def _what_is_left(shown: tuple[Group, ...], work: Work) -> tuple[Group, ...]:
    """The groups that are still to be applied, as a new look finds them."""
    found = aside(work.look)
    _require_same(shown, found)
    return found.groups


def _require_no_stop(plan: Plan, groups: tuple[Group, ...]) -> None:
    """Between two groups nothing is half done: the place to stop at."""
    if stop_asked():
        left = ", ".join(group.title for group in groups)
        raise Stopped(
            f"stopped as asked for; left as they were: {left}",
            where=plan.cluster,
            next_step="run the same command again to go on",
        )


def _run_once(group: Group, course: _Course) -> None:
    with ended_once():  # Prefect has put its own handlers in place for a subflow
        _run(group, course)


def _run(group: Group, course: _Course) -> None:
    """The steps of one group, and in a roll, putting back what they did when one fails."""
    work, journal, undoes = course.work, course.journal, course.undoes
    # Entering may have taken long: the Prefect API can be away.
    aside(partial(work.gate, group))
    acted: list[Step] = course.done if undoes == "all" else []
    one_at_a_time = threading.Lock()

    def act(step: Step) -> str:
        # Noted before it acts: a step that failed half-way has to be put back, too.
        with one_at_a_time:
            acted.append(step)
        try:
            return work.apply(step)
        except Refused:  # LeaseHeld among them: it did nothing
            with one_at_a_time:
                acted.remove(step)
            raise

    def take(step: Step) -> None:
        if step.name == group.kept_after:
            # Written before it acts: whether it has acted, a later process could not tell.
            journal.keep(None if undoes == "all" else group.title)
        journal.step(step, act)
        if step.name == group.kept_after:
            with one_at_a_time:
                # What a host has proved is kept there; on the others it may still fail.
                acted[:] = [one for one in acted if step.host and one.host != step.host]
                course.kept += [step.host] if step.host else []

    try:
        _take_steps(group, take)
    except (LeaseHeld, Abandoned):
        raise  # somebody else acts here, or this one still does: putting back would fight with them
    except BaseException as error:  # also when interrupted: the member must come back
        if undoes == "group":
            put_back(acted, group, group.title, journal, work.apply, error)
        if undoes == "nothing" and not isinstance(error, Refused):
            raise not_put_back(error, group) from error
        raise


def _take_steps(group: Group, take: Callable[[Step], None]) -> None:
    """Take the steps in order; in a parallel group each host's, side by side.

    The first error wins, but for LeaseHeld.
    """
    orders: dict[str, list[Step]] = {}
    for step in group.steps:
        orders.setdefault(step.host if group.parallel else "", []).append(step)

    def take_all(steps: list[Step]) -> None:
        for step in steps:
            require_uncut()
            take(step)

    ended = side_by_side([partial(take_all, steps) for steps in orders.values()], HOSTS_AT_ONCE)
    errors = [one.error for one in ended if one.error is not None]
    # Whoever else acts here now must not be fought with by putting back, whatever failed beside.
    for error in sorted(errors, key=lambda error: not isinstance(error, LeaseHeld)):
        raise error


def _require_same(rest: tuple[Group, ...], found: Plan) -> None:
    """What is left to do must be what was shown; the order may differ, as the leader moves."""
    stops = [verdict for verdict in found.verdicts if verdict.stops]
    if stops:
        said = "; ".join(f"{v.where + ': ' if v.where else ''}{v.message}" for v in stops)
        raise PlanChanged(
            f"it is not as it was when the plan was shown: {said}",
            where=found.cluster,
            next_step=stops[0].next_step or "run the same command again, which looks anew",
        )
    shown = Plan(found.operation, found.cluster, found.kind, "", groups=rest)
    if remaining_actions(shown) != remaining_actions(found):
        new, gone = _only_in(found, shown), _only_in(shown, found)
        raise PlanChanged(
            "what is left to do is no longer what was shown"
            + (f"; new: {', '.join(new)}" if new else "")
            + (f"; gone: {', '.join(gone)}" if gone else ""),
            where=found.cluster,
            next_step="run the same command again, which looks and plans anew",
        )


def _only_in(plan: Plan, other: Plan) -> list[str]:
    known = set(remaining_actions(other))
    steps = (step for group in plan.groups for step in group.steps if step.canonical not in known)
    return [f"{step.host} {step.title}" for step in steps]
