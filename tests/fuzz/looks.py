"""Looks at hosts of which one lies: facts, plans made of them, tables shown. All that is asked is that nothing breaks.

Whoever cannot be understood is silent with a reason; what is understood can be planned with and shown; and what
one host says changes nothing of what the others said.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quoracy.cli.screen import Console
from quoracy.cli.show import show_plan
from quoracy.errors import AnswerUnreadable, QuoracyError
from quoracy.hosts.fake import FakeHost
from quoracy.hosts.host import Result
from quoracy.hosts.machine import HostSilent
from quoracy.hosts.pool import HostPool
from quoracy.operation.markdown import plan_markdown
from quoracy.operation.plan import Plan

TESTS = Path(__file__).parents[1]
SLIPS = re.compile(r"\b(Attribute|Type|Key|Index|Name|UnboundLocal|Assertion)Error\b")
"""Errors of a parser that took for granted what it was given."""


@dataclass
class Seen:
    """What became of the answers."""

    counts: Counter[str] = field(default_factory=Counter)

    def judge(self, answer: Any) -> None:
        """One that was understood, or a reason that may be shown."""
        if isinstance(answer, HostSilent | QuoracyError):
            reason = answer.reason if isinstance(answer, HostSilent) else answer.what
            assert reason.isprintable(), repr(reason)
            assert len(reason) <= 2_000, len(reason)
            assert not SLIPS.search(reason), reason
            self.counts["silent"] += 1
        else:
            self.counts["understood"] += 1


@contextlib.contextmanager
def terminal() -> Iterator[None]:
    """A terminal that takes UTF-8 alone."""
    with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO(), "utf-8", "strict")):
        yield


def show(plan: Plan, seen: Seen) -> None:
    """All the ways in which a plan is shown and kept."""
    seen.counts["plans refused" if plan.refused else f"plans to {plan.kind}"] += 1
    plan_markdown(plan).encode()
    json.dumps(plan.as_dict()).encode()
    show_plan(plan, Console(width=120))
    assert plan.digest


def pool_of(targets: Any, outputs: dict[str, bytes]) -> HostPool:
    hosts = {}
    for name, output in outputs.items():
        hosts[name] = FakeHost(name)
        hosts[name].answer(lambda _: True, Result(0, output, b""))
    return HostPool(targets, factory=lambda target: hosts[target.name])


def caught(look: Callable[[], Any]) -> Any:
    """What it gives, or the error that says that it cannot be understood."""
    try:
        return look()
    except AnswerUnreadable as error:
        return error
