"""A plan: what will be done, why, and what stands against it; frozen, comparable, printable. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from quoracy.operation.step import Step, as_dict
from quoracy.operation.verdict import Verdict
from quoracy.plain import plain

Undoes = Literal["group", "all", "nothing"]
BEFORE = "before"
"""Group of the steps before anything is changed."""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between what is wanted and what is found, and thereby a reason to act."""

    host: str
    what: str
    before: str
    after: str

    def __post_init__(self) -> None:
        # What is found is what a host has said.
        for name in ("host", "what", "before", "after"):
            object.__setattr__(self, name, plain(getattr(self, name)))

    def __str__(self) -> str:
        return (
            f"{self.what}: {self.before} -> {self.after}"
            if self.before
            else f"{self.what}: {self.after}"
        )


@dataclass(frozen=True, slots=True)
class StopVoter:
    """A gate: the others have a quorum while this voter is down."""

    host: str


@dataclass(frozen=True, slots=True)
class Group:
    """Steps between two looks at the cluster.

    Attributes:
        title: For people: "demo-2", "prepare hosts".
        hosts: Whom it takes to what is wanted: a member, or a batch of a service's hosts; empty for what
            prepares all of them, or ends on all.
        steps: In order; steps of different hosts run side by side when `parallel`.
        gate: What is asked right before the first step, on facts that are fresh.
        served: Whether what it works on was seen serving: only then does putting back end with a proof.
        note: What cannot be undone afterwards, or else must be known before; may be empty.
        kept_after: Name of the step after whose success nothing of what the failure of this group
            would undo is put back any more: on the step's host, or anywhere when it has none.
    """

    title: str
    hosts: tuple[str, ...]
    steps: tuple[Step, ...]
    parallel: bool = False
    gate: StopVoter | None = None
    served: bool = True
    note: str = ""
    kept_after: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole of one operation on one cluster, as shown and as applied.

    Attributes:
        operation: For example "etcd-deploy".
        kind: What it amounts to; "start" only starts stopped members, as they lie on disk.
        verdicts: What the checks found; any that stops makes this a plan that is not applied.
        changes: Every difference found, whether or not it may be applied.
        before: Steps before anything is changed: the backup, or a build on the controller.
        groups: In order. The cluster is looked at again after each.
        undoes: What a failure puts back: the group that fails (a roll), all groups (a create), or
            nothing (what puts back itself).
        converges: Whether all is as wanted once it is applied, or already when it has no groups. Only such
            a plan settles what earlier operations have left half done.
        way_back: What a person can do for hosts that keep what was changed when another one has failed;
            "" when there is nothing but to go on.
    """

    operation: str
    cluster: str
    kind: Literal["create", "change", "start", "rollback", "nothing"]
    title: str
    verdicts: tuple[Verdict, ...] = ()
    changes: tuple[Change, ...] = ()
    before: tuple[Step, ...] = ()
    groups: tuple[Group, ...] = ()
    undoes: Undoes = "group"
    converges: bool = False
    way_back: str = ""

    @property
    def refused(self) -> bool:
        """Whether a check stands against it."""
        return any(verdict.stops for verdict in self.verdicts)

    @property
    def steps(self) -> Iterator[tuple[str, Step]]:
        """All steps in order, each with its group's title."""
        for step in self.before:
            yield BEFORE, step
        for group in self.groups:
            for step in group.steps:
                yield group.title, step

    @property
    def digest(self) -> str:
        """Tells whether two plans do the same to the same members, in whatever order."""
        return hashlib.sha256(json.dumps(remaining_actions(self)).encode()).hexdigest()[:16]

    def as_dict(self) -> dict[str, Any]:
        """For JSON: artifacts, the journal and `--json`."""
        return {
            "operation": self.operation,
            "cluster": self.cluster,
            "kind": self.kind,
            "title": self.title,
            "digest": self.digest,
            "refused": self.refused,
            "undoes": self.undoes,
            "converges": self.converges,
            "verdicts": [
                {
                    "status": v.status,
                    "reason": v.reason,
                    "message": v.message,
                    "where": v.where,
                    "next_step": v.next_step,
                }
                for v in self.verdicts
            ],
            "changes": [
                {"host": c.host, "what": c.what, "before": c.before, "after": c.after}
                for c in self.changes
            ],
            "steps": [
                {"group": group, "title": step.title, **as_dict(step)} for group, step in self.steps
            ],
        }


def remaining_actions(plan: Plan) -> list[str]:
    """The steps that are left, as name and fields, sorted; the leader may move, so order does not count."""
    return sorted(step.canonical for group in plan.groups for step in group.steps)
