"""What a create finds where it would put its members: old data and other people's directories."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from quoracy.etcd.facts_cluster import presence
from quoracy.etcd.facts_places import PlaceFacts
from quoracy.etcd.params import Action
from quoracy.etcd.plan.deploy import plan_etcd_deploy
from quoracy.etcd.spec import EtcdCluster
from quoracy.operation.plan import Plan
from tests.etcd_factories import (
    CLUSTER_ID,
    absent,
    absent_facts,
    bootstrapping,
    facts_of,
    request,
    spec,
    told,
    with_host,
)

WANTED = spec()
DATA = "/var/lib/etcd/demo"
ROOTS = PlaceFacts("directory", "root")


def planned(found: Mapping[str, PlaceFacts], cluster: EtcdCluster = WANTED) -> Plan:
    """A create where one host has this at its paths."""
    there = absent(places={"/": ROOTS, **found})
    facts = with_host(absent_facts(cluster), "demo-2", there)
    return plan_etcd_deploy(cluster, facts, request(pinned_cluster_id=None))


@pytest.mark.parametrize(
    "found",
    [
        {},
        {DATA: ROOTS, "/var/lib/etcd": PlaceFacts("directory", "etcd")},
        {DATA: PlaceFacts("directory", "etcd")},
        {"/etc/etcd/demo": ROOTS, "/etc/etcd/demo/tls": ROOTS},
        {"/opt/etcd": PlaceFacts("directory", "root", ())},
    ],
    ids=["nothing", "a mount point", "prepared", "configuration", "releases"],
)
def test_what_is_empty_and_root_s_or_etcd_s_is_taken(found: dict[str, PlaceFacts]) -> None:
    assert not planned(found).refused


@pytest.mark.parametrize(
    ("path", "found", "reason", "said", "setting"),
    [
        (DATA, PlaceFacts("directory", "root", ("app.db",)), "DirectoryInUse", "app.db", "data"),
        (DATA, PlaceFacts("directory", "app"), "DirectoryOwned", "belongs to app", "data"),
        (DATA, PlaceFacts("regular file", "root"), "DirectoryInUse", "a regular file", "data"),
        (DATA, PlaceFacts("link that leads nowhere"), "DirectoryInUse", "leads nowhere", "data"),
        (
            "/var/lib/etcd",
            PlaceFacts("directory", "app"),
            "DirectoryOwned",
            f"{DATA} would",
            "data",
        ),
        (
            "/etc/etcd/demo",
            PlaceFacts("directory", "root", ("nginx.conf",)),
            "DirectoryInUse",
            "nginx.conf",
            "config",
        ),
        ("/etc/etcd/demo", PlaceFacts("directory", "etcd"), "DirectoryOwned", "to root", "config"),
        (
            "/etc/etcd/demo/tls",
            PlaceFacts("directory", "root", ("site.pem",)),
            "DirectoryInUse",
            "site.pem",
            "config",
        ),
        ("/opt/etcd", PlaceFacts("directory", "app"), "DirectoryOwned", "belongs to app", "bin"),
        ("/srv/log", PlaceFacts("directory", "root", ("a",)), "DirectoryInUse", "holds a", "wal"),
        ("/srv/log", PlaceFacts("directory", "app"), "DirectoryOwned", "belongs to app", "wal"),
    ],
)
def test_what_is_somebody_else_s_is_refused_and_named(
    path: str, found: PlaceFacts, reason: str, said: str, setting: str
) -> None:
    plan = planned({path: found}, spec(directories={"wal": "/srv/log"}))
    (verdict,) = (verdict for verdict in plan.verdicts if verdict.stops)
    assert (verdict.reason, verdict.where) == (reason, "demo-2")
    assert path in verdict.message
    assert said in verdict.message
    assert f"choose another directories.{setting} in the spec" in verdict.next_step


def test_a_host_that_does_not_tell_is_not_taken_for_an_empty_one() -> None:
    facts = with_host(absent_facts(WANTED), "demo-2", absent(places={}))
    plan = plan_etcd_deploy(WANTED, facts, request(pinned_cluster_id=None))
    assert told(plan).stops == ["PlacesUnknown"]


def test_a_create_under_way_is_not_asked_again_whose_its_directories_are() -> None:
    hosts = WANTED.hosts
    begun = {
        h.name: bootstrapping(WANTED, h, places={}, old_data=(f"{DATA}/member/snap",))
        for h in hosts
    }
    assert not plan_etcd_deploy(WANTED, facts_of(begun), request(pinned_cluster_id=None)).refused


# ------------------------------------------------------------------ old data

OLD = {
    "a database without a log": {"old_data": (f"{DATA}/member/snap",)},
    "a log": {"has_log": True, "old_data": (f"{DATA}/member/wal",)},
    "a log that is still being made": {"old_data": ("/srv/log/wal/0.tmp",)},
    "our mark and no log": {
        "data_cluster_id": CLUSTER_ID,
        "old_data": (f"{DATA}/member/quoracy-cluster-id",),
    },
}


@pytest.mark.parametrize("pinned", [None, CLUSTER_ID], ids=["not pinned", "pinned"])
@pytest.mark.parametrize("hosts", [("demo-2",), ("demo-1", "demo-2", "demo-3")], ids=["one", "all"])
@pytest.mark.parametrize("old", OLD.values(), ids=OLD)
@pytest.mark.parametrize("action", Action)
def test_old_data_is_never_created_over(action, old, hosts, pinned) -> None:
    facts = absent_facts(WANTED)
    for name in hosts:
        facts = with_host(facts, name, absent(**old))
        assert presence(facts.hosts[name]) == "foreign"
    plan = plan_etcd_deploy(WANTED, facts, request(action=action, pinned_cluster_id=pinned))
    assert plan.groups == ()
    assert {"ForeignData", "ConfigurationLost"} & set(told(plan).stops)
    named = {v.where for v in plan.verdicts if v.reason in ("ForeignData", "ConfigurationLost")}
    assert named == set(hosts)


def test_an_interrupted_create_is_not_finished_in_other_directories() -> None:
    """What lies there is not its own, though the keys of the first start say that something is."""
    begun = facts_of({h.name: bootstrapping(WANTED, h) for h in WANTED.hosts})
    for moved in ({"data": "/srv/etcd/demo"}, {"wal": "/srv/log"}):
        wanted = spec(directories=moved)
        plan = plan_etcd_deploy(wanted, begun, request(pinned_cluster_id=None))
        assert told(plan).stops == ["CreateDiffers"]


def test_a_host_that_has_served_in_a_create_and_lost_all_else_is_not_filled_anew() -> None:
    facts = with_host(absent_facts(WANTED), "demo-2", absent(formed=True))
    plan = plan_etcd_deploy(WANTED, facts, request(pinned_cluster_id=None))
    assert told(plan).stops == ["LogMissing"]
