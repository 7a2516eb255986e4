"""What else of etcd is on a host, from the lines that the host prints; and whose log it is."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quoracy.etcd.facts_neighbours import MOST, Neighbours, neighbours_question, parse_neighbours
from quoracy.etcd.facts_wal import cluster_id_of
from quoracy.hosts.bounded import Unreadable
from quoracy.hosts.question import Answer
from tests.etcd_factories import spec

DEMO = spec()
# The first bytes of a log that etcd 3.5.30 has written, whose own log names cluster 48276a8f75b6a87.
HEAD = bytes.fromhex(
    "040000000000008408041000000000001d000000000000830801108d9cf9161a1408c0c0caafc1ba96892e1087d5edba"
    "8fd59dc1040000000e00000000000082080510878cc58d0d1a04080010000000"
)


def lines(*rows: tuple[str, ...]) -> Answer:
    def word(text: str) -> str:
        return base64.b64encode(text.encode()).decode() or "-"

    return Answer("\n".join(" ".join((kind, *map(word, said))) for kind, *said in rows), 0)


def found(*rows: tuple[str, ...], begun: bool = False) -> list[str]:
    return [str(one) for one in parse_neighbours(DEMO, lines(*rows), begun=begun).foreign]


def test_the_log_tells_its_cluster() -> None:
    assert cluster_id_of(HEAD) == "48276a8f75b6a87"


@given(st.binary(max_size=300), st.integers(0, len(HEAD)))
def test_whatever_else_lies_there_is_read(garbage: bytes, kept: int) -> None:
    assert isinstance(cluster_id_of(HEAD[:kept] + garbage), str | None)
    assert cluster_id_of(garbage[:8]) is None


@given(st.text(max_size=400))
def test_whatever_a_host_prints_is_read_or_named(text: str) -> None:
    answer = Answer(text, 0)
    try:
        assert isinstance(parse_neighbours(DEMO, answer, begun=False), Neighbours)
    except Unreadable as error:
        assert answer.lines, "without a line there is no etcd"
        assert str(error).isprintable()  # noqa: PT017  only some texts cannot be read


@pytest.mark.parametrize(
    "line", ["process", "process NTM=", "data L3Zhcg== %%%", "x", "unit - - - -"]
)
def test_a_line_that_is_cut_off_may_be_an_etcd(line: str) -> None:
    with pytest.raises(Unreadable):
        parse_neighbours(DEMO, Answer(line, 0), begun=False)


def test_a_process_is_told_with_its_unit_data_cluster_and_addresses() -> None:
    head = base64.b64encode(HEAD).decode()
    row = (
        "process",
        "812",
        "etcd.service",
        "/var/lib/etcd/default",
        "http://127.0.0.1:2379 ",
        head,
    )
    assert found(row, ("data", "/var/lib/etcd/default", head)) == [
        "process 812 (etcd.service), data in /var/lib/etcd/default, cluster 48276a8f75b6a87, "
        "on http://127.0.0.1:2379"
    ]


def test_other_clusters_of_quoracy_are_none() -> None:
    other = ("ours", "other", "/etc/etcd/other", "/var/lib/etcd/other", "")
    rows = (
        other,
        ("process", "7", "etcd-other.service", "/var/lib/etcd/other", "", ""),
        ("data", "/var/lib/etcd/other", ""),
        ("unit", "etcd-other.service", "active", "enabled"),
    )
    assert found(*rows) == []
    assert len(found(*rows[1:])) == 2  # by its name alone nothing is ours


def test_the_own_unit_is_own_once_a_create_is_recorded() -> None:
    row = ("unit", "etcd-demo.service", "active", "enabled")
    assert found(row, begun=True) == []
    assert found(row) == ["unit etcd-demo.service (active, enabled)"]


@pytest.mark.parametrize(("active", "enabled", "named"), [
    ("inactive", "disabled", False), ("inactive", "enabled", True), ("active", "disabled", True),
    ("failed", "", False), ("inactive", "static", False), ("activating", "", True),
])  # fmt: skip
def test_a_unit_counts_when_it_runs_or_will_start(
    active: str, enabled: str, *, named: bool
) -> None:
    assert bool(found(("unit", "x-etcd.service", active, enabled))) == named


def test_what_a_host_prints_is_bounded_and_fit_for_a_terminal() -> None:
    (only,) = found(("data", "/x\x1b[31m" + "y" * 5000, ""))
    assert "\x1b" not in only
    assert len(only) < 300
    assert len(found(*[("data", f"/d{n}", "") for n in range(5000)])) == MOST


def test_the_holder_of_a_port_is_named() -> None:
    told = parse_neighbours(DEMO, lines(("holder", "094B", "9", "k3s", "k3s.service")), begun=False)
    assert told.holders == ((2379, "process 9 (k3s, k3s.service)"),)


def test_a_host_that_has_our_record_is_not_searched(tmp_path: Path) -> None:
    (tmp_path / "cluster-id").write_text("1")
    script = neighbours_question(DEMO).replace(DEMO.config_dir, str(tmp_path))
    asked = subprocess.run(["sh", "-c", script], capture_output=True, check=False)
    assert (asked.returncode, asked.stdout) == (0, b"")
