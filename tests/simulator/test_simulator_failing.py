"""Every step of a create and of an upgrade fails once, after it has acted: put back, and the next run converges."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from quoracy.errors import CommandFailed, QuoracyError, RollbackFailed
from quoracy.operation.step import Step
from tests.scenarios.controller_site import MIDDLE, NEW
from tests.simulator.site import SimulatedSite


def failing(name: str, host: str) -> Callable[[Step, str], None]:
    """Fails once, after the step has acted, as when the answer of a host is lost."""
    left = [(name, host, "after")]

    def around(step: Step, when: str) -> None:
        if (step.name, step.host, when) in left:
            left.clear()
            raise CommandFailed("made to fail", where=host, exit_code_remote=1, stderr="")

    return around


@pytest.mark.parametrize("operation", ["create", "upgrade"])
def test_a_step_that_fails_is_put_back_and_the_next_run_converges(
    make_site: Callable[..., SimulatedSite],
    tmp_path: Path,
    operation: str,
    say: Callable[[str], None],
) -> None:
    site = make_site("fails")
    site.apply(version=MIDDLE)
    if operation == "upgrade":
        assert site.deploy().outcome == "done"
        site.apply(version=NEW)
    shutil.copytree(site.place, tmp_path / "before")
    ends: list[str] = []
    for step in [step for _, step in site.plan().steps]:
        shutil.rmtree(site.place)
        shutil.copytree(tmp_path / "before", site.place)
        before = site.simulated.look().world
        with pytest.raises(QuoracyError) as failure:
            site.deploy(around_step=failing(step.name, step.host))
        assert not isinstance(failure.value, RollbackFailed), f"{step}: {failure.value}"
        ends.append(type(failure.value).__name__)
        after = site.simulated.look().world
        assert all(now.up or not was.up for was, now in zip(before.hosts, after.hosts, strict=True))
        if operation == "create" and ends[-1] == "RolledBack":
            assert not any(host.up or host.log for host in after.hosts), str(after)
        # The very last step has acted: then nothing is left to do.
        assert site.deploy().outcome in ("done", "nothing_to_do"), f"{step}"
        site.require_healthy()
        assert site.versions() == dict.fromkeys(site.hosts, site.version)
    counted = ", ".join(f"{ends.count(end)} {end}" for end in sorted(set(ends)))
    say(f"{operation} of 3 members: {len(ends)} steps failed, {counted}; the next run converged")
    assert "RolledBack" in ends
