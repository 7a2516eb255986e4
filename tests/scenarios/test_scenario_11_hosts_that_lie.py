"""Real hosts that lie: links that wait for root, numbers without reason, answers without an end."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from jinja2 import Template

from quoracy.errors import Refused
from quoracy.etcd import scripts as commands
from quoracy.etcd.facts import etcd_questions
from quoracy.etcd.spec import EtcdCluster
from quoracy.etcd.templates import Generation, render_generation
from quoracy.hosts.question import ask_all
from tests.scenarios.plan_reading import advice, reasons, step_names
from tests.scenarios.scenario_site import Site

pytestmark = pytest.mark.lab

BEFORE = Path(__file__).with_name("pre-start-before-records")
"""The pre-start check of the version that left its record in etcd's own directory."""
ROUNDS = 60


@pytest.fixture(scope="module")
def aged(make_site) -> Site:
    site = make_site("aged", ports={"client": 10379, "peer": 10380})
    site.version = "3.5.16"
    site.apply()
    assert site.deploy().outcome == "done"
    return site


def as_before(site: Site) -> None:
    """Make of the cluster what an earlier version has made: its pre-start check, its records."""
    cluster = site.cluster
    for host in cluster.hosts:
        now = render_generation(cluster, host)
        pre_start = Template(BEFORE.read_text(), keep_trailing_newline=True).render(
            cluster=cluster.name,
            member=host.name,
            config_dir=cluster.config_dir,
            data_dir=cluster.data_dir,
            wal_dir_effective=cluster.wal_dir,
        )
        old = Generation(now.version, now.config, now.unit, pre_start)
        for script in (
            commands.stage_generation(cluster, old),
            commands.switch_generation(cluster, old.identity),
            f"systemctl restart {cluster.unit}",
            # As a switch forward and back would leave it: of a start that is over.
            f"rm -rf {cluster.config_dir}/generations/{now.identity}",
            f"echo stale: true > {commands.record_dir(cluster)}/etcd.yaml",
        ):
            site.shell(host.name, script)
        assert "unit\n" in site.shell(host.name, f"ls {commands.runtime_dir(cluster)}")
    site.require_healthy()


def test_members_of_an_earlier_version_are_switched_and_not_restarted(aged: Site) -> None:
    as_before(aged)
    before = aged.watch.restarts()
    report = aged.deploy()
    assert report.outcome == "done"
    assert set(step_names(report.plan)) == {
        "take-snapshot",
        "stage-generation",
        "switch-generation",
    }
    assert aged.watch.restarts() == before
    assert aged.plan().kind == "nothing"
    # Their next start makes the new record, and there is nothing to do again.
    host, cluster = aged.hosts[0], aged.cluster
    aged.shell(host, f"systemctl restart {cluster.unit}")
    record = aged.shell(host, f"stat -c '%U %a %n' {commands.record_dir(cluster)}/*")
    assert {line.split()[0] for line in record.splitlines()} == {"root"}
    assert len(record.splitlines()) == 4
    assert aged.shell(host, f"ls {commands.runtime_dir(cluster)}") == "etcd.yaml\n"
    assert aged.plan().kind == "nothing"


SWAP = """
import os, sys, itertools
data, run, stop = sys.argv[1:]
spots = [run + "/" + n for n in ("etcd.yaml", "unit", "ca.sha256")]
spots += [data + "/member/quoracy-cluster-id" + n for n in ("", ".quoracy-new")]
count = 0
while not os.path.exists(stop):
    for spot, target in itertools.product(spots, ("/root/canary/secret", "/root/canary", "/etc/canary")):
        try:
            os.symlink(target, spot + ".swap")
            os.replace(spot + ".swap", spot)
            count += 1
        except OSError:
            pass
    for place, target in ((data + "/member", "/root/canary"), (data + "/member", "/etc")):
        try:
            os.rename(place, place + ".kept")
            os.symlink(target, place)
            os.unlink(place)
            os.rename(place + ".kept", place)
            count += 1
        except OSError:
            if os.path.isdir(place + ".kept") and not os.path.lexists(place):
                os.rename(place + ".kept", place)
print(count)
"""
CANARIES = """
mkdir -p /root/canary/member
for f in /root/canary/secret /root/canary/quoracy-cluster-id /root/canary/unit /root/canary/etcd.yaml /etc/canary; do
    echo canary-secret > $f; chmod 0600 $f
done
chmod 0700 /root/canary
"""
STATE = "find /root/canary /etc/canary -printf '%p %u %g %m %s %T@ %l\\n' | sort; ls -a /etc | sha256sum"


def raced(site: Site, host: str, swap: str, argv: tuple[str, ...], scripts: list[str]) -> int:
    """Run root's scripts again and again while etcd puts links in its directories; how many it put there."""
    stop = "/run/raced"
    swapper = shlex.join(("setpriv", "--reuid=etcd", "--regid=etcd", "--init-groups", "--"))
    rounds = "\n".join(
        f"timeout 20 sh -c {shlex.quote(script)} >> /run/raced.out 2>&1 </dev/null || :"
        for script in scripts
    )
    told = site.shell(
        host,
        f"""rm -f {stop} /run/raced.out
{swapper} python3 -c {shlex.quote(swap)} {shlex.join((*argv, stop))} > /run/raced.count &
i=0
while [ $i -lt {ROUNDS} ]; do
    i=$((i + 1))
    {rounds}
done
: > {stop}
wait
cat /run/raced.count""",
    )
    return int(told)


def test_root_follows_no_link_that_etcd_puts_in_its_directories(aged: Site) -> None:
    """A look, a start, the end of a create and its undo, thousands of links against them."""
    host, cluster = aged.hosts[2], aged.cluster
    data, run = cluster.data_dir, commands.runtime_dir(cluster)
    aged.stop(host)
    aged.shell(host, f"install -d -m 0755 -o etcd -g etcd {run}; cp -a {data} {data}.kept")
    aged.shell(host, CANARIES)
    before = aged.shell(host, STATE)
    pinned = aged.pinned_id()
    assert pinned is not None
    scripts = [
        f"INVOCATION_ID=1 sh {cluster.config_dir}/current/pre-start",
        commands.finish_bootstrap(cluster, pinned),
        ask_all(etcd_questions(cluster)) + "| base64 -d",
        f"cd / && [ -e {data}/member ] && {_moved_and_back(cluster)}",
    ]
    count = raced(aged, host, SWAP, (data, run), scripts)
    assert count > 1000
    assert aged.shell(host, STATE) == before
    seen = f"cat /run/raced.out {commands.record_dir(cluster)}/*"
    assert "canary-secret" not in aged.shell(host, seen)
    assert "Y2FuYXJ5LXNlY3JldA" not in aged.shell(host, seen)
    owners = aged.shell(host, f"find {data} {run} -printf '%u\\n' | sort -u")
    assert owners == "etcd\n"
    aged.shell(host, f"rm -rf {data} {run} /root/canary /etc/canary; mv -T {data}.kept {data}")
    aged.shell(host, f"systemctl start {cluster.unit}")
    aged.require_healthy()


def _moved_and_back(cluster: EtcdCluster) -> str:
    """The moving of the data by an undo, and the way back for the next round."""
    aside = next(
        line
        for line in commands.withdraw_member(cluster, "race").splitlines()
        if ".aside-race" in line
    )
    back = commands.as_etcd(
        "mv", "-T", f"{cluster.data_dir}/member.aside-race", f"{cluster.data_dir}/member"
    )
    return f"{{ {aside}; {back}; }}"


SWAP_PARENT = """
import os, sys
place, stop = sys.argv[1:]
count = 0
while not os.path.exists(stop):
    try:
        if os.path.islink(place):
            os.unlink(place)
        elif os.path.isdir(place):
            os.rename(place, place + ".%d" % count)
        os.symlink("/root/canary", place)
        count += 1
        os.unlink(place)
    except OSError:
        pass
print(count)
"""


def test_nothing_is_given_to_etcd_where_etcd_could_put_a_link(aged: Site) -> None:
    """As where Debian's package has made /var/lib/etcd a directory of etcd's."""
    host = aged.hosts[1]
    directories = aged.cluster.directories.model_copy(update={"data": "/srv/theirs/data"})
    cluster = aged.cluster.model_copy(update={"directories": directories, "name": "raced"})
    aged.shell(host, f"{CANARIES}\ninstall -d -o etcd -g etcd /srv/theirs")
    before = aged.shell(host, STATE)
    assert (
        raced(aged, host, SWAP_PARENT, ("/srv/theirs/data",), [commands.prepare_host(cluster)])
        > 1000
    )
    assert aged.shell(host, STATE) == before
    aged.shell(host, "rm -rf /srv/theirs/data*")
    aged.shell(host, commands.prepare_host(cluster))
    assert aged.shell(host, "stat -c '%U %a' /srv/theirs/data") == "etcd 700\n"
    aged.shell(host, "rm -rf /srv/theirs /root/canary /etc/canary /etc/etcd/raced")


FENCE = "/var/lib/quoracy/aged/fence"
NUMBERS = {
    "beyond reason": ("x@y:1:zz 999999999999999 0", {"NumberBeyondReason"}),
    "beyond the shell's arithmetic": (f"x@y:1:zz {2**63 - 1} 0", {"HostSilent"}),
    "none at all": ("what is this", {"HostSilent"}),
}


def renumbered(site: Site, host: str) -> subprocess.CompletedProcess[str]:
    """What `quoracy lease renumber` says."""
    return subprocess.run(
        (
            str(Path(sys.executable).with_name("quoracy")),
            "lease",
            "renumber",
            "aged",
            host,
            "--yes",
        ),
        env={**os.environ, "QUORACY_HOME": str(site.home.path)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("note", "why"), NUMBERS.values(), ids=NUMBERS)
def test_one_number_without_reason_stops_nobody_for_good(
    aged: Site, note: str, why: set[str]
) -> None:
    host, *others = aged.hosts
    aged.apply(etcd={"snapshot_count": 90_000 + len(note)})
    before = {name: aged.shell(name, f"cat {FENCE}") for name in others}
    aged.shell(host, f"echo {shlex.quote(note)} > {FENCE}")
    plan = aged.plan()
    assert reasons(plan) == why
    assert {verdict.where for verdict in plan.verdicts if verdict.stops} == {host}
    assert "quoracy lease renumber" in advice(plan)
    with pytest.raises(Refused):
        aged.deploy()
    assert {name: aged.shell(name, f"cat {FENCE}") for name in others} == before
    if why == {"HostSilent"}:
        told = renumbered(aged, host)
        assert (told.returncode, "within the last minute" in told.stderr) == (3, True), told
        aged.shell(host, f"touch -d '-2 minutes' {FENCE}")
    told = renumbered(aged, host)
    assert told.returncode == 0, told.stderr
    assert f"noted there: {note}" in " ".join(told.stdout.split())
    assert aged.deploy().outcome == "done"
    numbers = {int(aged.shell(name, f"cat {FENCE}").split()[1]) for name in aged.hosts}
    assert max(numbers) < 100
    assert "nothing is to be done" in " ".join(renumbered(aged, host).stdout.split())


def test_an_answer_without_an_end_makes_that_host_silent(aged: Site) -> None:
    """A file of a terabyte that etcd has put in place of its mark."""
    host, data = aged.hosts[1], aged.cluster.data_dir
    mark = commands.marker_path(aged.cluster)
    aged.shell(host, f"cp -a {mark} {data}/kept; truncate -s 1T {mark}")
    used = aged.shell(host, "df --output=used /run | tail -1")
    plan = aged.plan()
    aged.shell(host, f"mv -f {data}/kept {mark}")
    assert reasons(plan) == {"HostSilent"}
    (silent,) = (verdict for verdict in plan.verdicts if verdict.stops)
    assert silent.where == host
    assert "files: its answer is larger than 16 MiB" in silent.message
    assert abs(int(aged.shell(host, "df --output=used /run | tail -1")) - int(used)) < 1024
    assert aged.plan().kind == "nothing"
