"""What lies on a host where a create would put a member, before its first start. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quoracy.etcd.scripts_places import ask_places, data_directories
from quoracy.etcd.spec import EtcdCluster
from quoracy.hosts.bounded import one_line

_LONGEST = 60


@dataclass(frozen=True, slots=True)
class PlaceFacts:
    """One path of a create, or one that such a path lies in.

    Attributes:
        kind: "directory", also through a link; else what it is, in stat's words; empty when nothing is there.
        strangers: The first names in it that are not ours.
    """

    kind: str = ""
    owner: str = ""
    strangers: tuple[str, ...] = ()


def places_question(cluster: EtcdCluster) -> str:
    """Question before the first start; afterwards what lies there is the member's own business."""
    config = cluster.config_dir
    unborn = f"[ ! -e {config}/cluster-id ] && [ ! -e {config}/bootstrap.yaml ]"
    return f"if {unborn}; then {ask_places(cluster)}; fi"


def parse_places(lines: Sequence[str]) -> dict[str, PlaceFacts]:
    """The answer to `places_question`, by path; empty when the host was past its first start."""
    told = [line.split(" ", 2) for line in lines]
    kinds = {path: rest.partition(" ") for word, path, rest in _of("held", told)}
    strangers: dict[str, list[str]] = {}
    for _, path, name in _of("in", told):
        strangers.setdefault(path, []).append(one_line(name, _LONGEST))
    dangling = [words[1] for words in told if words[0] == "dangling" and len(words) == 2]
    return {
        **{path: PlaceFacts("link that leads nowhere") for path in dangling},
        **{
            path: PlaceFacts(
                one_line(kinds[path][2], _LONGEST) if path in kinds else "",
                one_line(kinds[path][0], _LONGEST) if path in kinds else "",
                tuple(strangers.get(path, ())),
            )
            for path in (*kinds, *strangers)
        },
    }


def old_data(cluster: EtcdCluster, found: Mapping[str, PlaceFacts]) -> tuple[str, ...]:
    """What etcd would find at its first start, and use: paths, the first of each directory."""
    return tuple(
        f"{path}/{name}"
        for path in data_directories(cluster)
        if path in found
        for name in found[path].strangers
    )


def _of(word: str, told: Sequence[Sequence[str]]) -> list[tuple[str, str, str]]:
    return [(one[0], one[1], one[2]) for one in told if one[0] == word and len(one) == 3]
