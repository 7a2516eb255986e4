"""What was seen of a roll on real hosts: by the hosts' own journals, by etcd, and by clients that write."""

from __future__ import annotations

from dataclasses import dataclass

from tests.judges.watch import Down, Watch, overlaps
from tests.judges.writes import WriterReport
from tests.scenarios.controller_site import RollWatch

LONGEST_STALL_S = 3.0


@dataclass(slots=True)
class RealWatch(RollWatch):
    """Reads the journals from `since_us` on."""

    watch: Watch
    since_us: int
    written: WriterReport | None = None
    lost: tuple[str, ...] = ()

    def _downs(self) -> tuple[Down, ...]:
        return self.watch.down_intervals(self.since_us)

    def order(self) -> list[str]:
        return [down.member for down in self._downs()]

    def require_one_at_a_time(self) -> None:
        assert overlaps(self._downs()) == ()
        assert len(self.watch.leader_changes(self.since_us)) <= 1
        # None of them was started again by systemd.
        assert all(process.restarts == 0 for process in self.watch.restarts().values())

    def require_backup_first(self, stored_ns: int) -> None:
        assert stored_ns // 1000 < self._downs()[0].stopped_us

    def require_nothing_lost(self) -> None:
        assert self.watch.hashkv().equal
        if self.written is not None:
            assert self.written.acknowledged > 300
            assert self.lost == ()
            assert self.written.longest_stall_s <= LONGEST_STALL_S
            assert self.written.longest_silence_s <= LONGEST_STALL_S
