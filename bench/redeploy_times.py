"""The times that `make bench-redeploy` took, and the tables made of them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from statistics import median

from bench.redeploy_trees import Case

#: Sides, in the order in which they are told.
OURS, GATE, TYPED, KEPT, ANSISTRANO = "Quoracy", "its gate", "rsync", "rsync, kept", "Ansistrano"
COLUMNS = (OURS, GATE, TYPED, KEPT, ANSISTRANO)


@dataclass(frozen=True, slots=True)
class Place:
    """What was redeployed, and over which distance in seconds of a round trip."""

    files: int
    round_trip_s: float


@dataclass(slots=True)
class Times:
    """Seconds by place, case and side, one number per run."""

    by: dict[tuple[Place, Case, str], list[float]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def add(self, place: Place, case: Case, side: str, seconds: float) -> None:
        """Note one run."""
        self.by[place, case, side].append(seconds)

    def median(self, place: Place, case: Case, side: str) -> float:
        """The median of the runs; not a number when there were none."""
        runs = self.by.get((place, case, side))
        return median(runs) if runs else float("nan")

    def ratio(self, place: Place, case: Case, side: str) -> float:
        """Quoracy's median without its gate, divided by the other side's."""
        return self.median(place, case, OURS) / self.median(place, case, side)

    def table(self, place: Place) -> str:
        """All cases of a place, a line each."""
        distance = f"{place.round_trip_s * 1000:g} ms"
        head = f"{place.files} files, {distance}".ljust(22)
        heads = "".join(name.rjust(22) for name in COLUMNS)
        lines = [f"{head}{heads}{'to rsync'.rjust(10)}{'to kept'.rjust(10)}{'faster'.rjust(10)}"]
        for case in Case:
            if (place, case, OURS) in self.by:
                lines.append(self._line(place, case))
        return "\n".join(lines)

    def _line(self, place: Place, case: Case) -> str:
        cells = "".join(self._cell(place, case, side).rjust(22) for side in COLUMNS)
        to_rsync = f"{self.ratio(place, case, TYPED):.2f}".rjust(10)
        to_kept = f"{self.ratio(place, case, KEPT):.2f}".rjust(10)
        faster = f"{1 / self.ratio(place, case, ANSISTRANO):.1f} x".rjust(10)
        return f"{case.value.ljust(22)}{cells}{to_rsync}{to_kept}{faster}"

    def _cell(self, place: Place, case: Case, side: str) -> str:
        runs = self.by.get((place, case, side))
        if not runs:
            return "-"
        return f"{median(runs):.2f} ({min(runs):.2f}–{max(runs):.2f})"  # noqa: RUF001  a range
