"""What was seen of a roll on simulated hosts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.scenarios.controller_site import RollWatch


@dataclass(slots=True)
class SimulatedWatch(RollWatch):
    """Reads the events that the simulated hosts keep."""

    seen: Sequence[tuple[str, str]] = ()

    def order(self) -> list[str]:
        return [host for event, host in self.seen if event == "down"]

    def require_one_at_a_time(self) -> None:
        down: set[str] = set()
        for event, host in self.seen:
            if event == "down":
                down.add(host)
            if event == "healthy":
                down.discard(host)
            assert len(down) <= 1, self.seen
        assert [event for event, _ in self.seen].count("elected") <= 1

    def require_backup_first(self, stored_ns: int) -> None:
        assert next(event for event, _ in self.seen if event in ("snapshot", "down")) == "snapshot"

    def require_nothing_lost(self) -> None:
        """No client writes to simulated hosts."""
