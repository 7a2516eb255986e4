"""Files that are edited on a host after they were staged, on real hosts: nothing of them ever runs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from quoracy.errors import Refused, RolledBack
from quoracy.etcd.deploy import EtcdDeploy
from quoracy.operation.step import Step
from tests.scenarios.plan_reading import members, step_names, warnings
from tests.scenarios.scenario_site import MIDDLE, NEW, Site

pytestmark = pytest.mark.lab

QUICK = {"heartbeat_interval_ms": 50, "election_timeout_ms": 500}
EDITS = {
    # Each of them would be seen to have run: by a file, or by another process than etcd.
    "etcd.yaml": "sed -i s/^heartbeat-interval:.*/heartbeat-interval:\\ 77/ $g/etcd.yaml",
    "pre-start": "echo 'touch /run/edited-has-run' >> $g/pre-start",
    "unit": "sed -i '/^ExecStart=/iExecStartPre=+/usr/bin/touch /run/edited-has-run' $g/unit",
    "release": "mkdir -p /opt/other && cp /bin/false /opt/other/etcd && ln -sfn /opt/other $g/release",
}
BeforeStep = Callable[[Step, EtcdDeploy], None]


@pytest.fixture(scope="module")
def site(make_site) -> Site:
    site = make_site(
        "edits",
        ports={"client": 12379, "peer": 12380},
        directories={"bin": "/opt/etcd-edits"},
        etcd=QUICK,
        systemd={"start_timeout_s": 20},
    )
    site.version = MIDDLE
    site.apply()
    assert site.deploy().outcome == "done"
    return site


@pytest.fixture(autouse=True)
def nothing_edited_has_run(site: Site):
    """After each test all members serve, as the spec wants, and nothing edited was ever started."""
    yield
    assert site.deploy().outcome in ("done", "nothing_to_do")
    site.require_healthy()
    told = site.everywhere(
        f"ls /run/edited-has-run 2>/dev/null || :; journalctl -u {site.cluster.unit} -o cat | "
        'grep -c \'"heartbeat-interval":"77ms"\' || :'
    )
    assert set(told.values()) == {"0\n"}
    assert site.plan().kind == "nothing"


def staged(site: Site, host: str) -> str:
    """The generation on a host that is not in use and was staged last."""
    directory = f"{site.cluster.config_dir}/generations"
    return site.shell(
        host,
        f"cd {directory}; used=$(readlink ../current); ls -t | grep -v ${{used##*/}} | head -n 1",
    ).strip()


def edit(site: Site, host: str, generation: str, what: str) -> None:
    site.shell(host, f"g={site.cluster.config_dir}/generations/{generation}; {EDITS[what]}")


def next_setting(site: Site) -> None:
    """Another setting than the one that runs, so that there is a generation to be staged."""
    count = int(site.settings["etcd"].get("snapshot_count", 5000)) + 1
    site.apply(etcd={**QUICK, "snapshot_count": count})


def before(name: str, host: str, act: Callable[[], object]) -> BeforeStep:
    def hook(step: Step, _deploy: EtcdDeploy) -> None:
        if (step.name, step.host) == (name, host):
            act()

    return hook


@pytest.mark.parametrize("what", EDITS)
def test_edited_between_the_preparation_and_the_stop_nobody_is_taken_down(
    site: Site, what: str
) -> None:
    next_setting(site)
    first = members(site.plan())[0]
    starts = site.starts()
    hook = before("stop-member", first, lambda: edit(site, first, staged(site, first), what))
    with pytest.raises(Refused) as refusal:
        site.deploy(before_step=hook)
    assert refusal.value.where == first
    assert f"/{what}" in refusal.value.what
    assert "was not taken" in refusal.value.what
    assert site.starts() == starts
    site.require_healthy()


@pytest.mark.parametrize("what", ["etcd.yaml", "unit"])
def test_edited_before_the_plan_it_is_staged_anew(site: Site, what: str) -> None:
    next_setting(site)
    first = members(site.plan())[0]
    hook = before("stop-member", first, lambda: edit(site, first, staged(site, first), what))
    with pytest.raises(Refused):
        site.deploy(before_step=hook)
    plan = site.plan()
    assert [(s.host, s.name) for s in plan.groups[0].steps] == [(first, "stage-generation")]
    assert site.deploy().outcome == "done"


@pytest.mark.parametrize("what", ["pre-start", "release"])
def test_edited_while_the_member_is_down_it_is_put_back(site: Site, what: str) -> None:
    next_setting(site)
    first = members(site.plan())[0]
    running = site.current()[first]
    hook = before("switch-generation", first, lambda: edit(site, first, staged(site, first), what))
    with pytest.raises(RolledBack) as failure:
        site.deploy(before_step=hook)
    assert f"/{what}" in failure.value.what
    assert site.current()[first] == running
    site.require_healthy()


def test_edited_after_the_switch_it_is_not_started(site: Site) -> None:
    next_setting(site)
    first = members(site.plan())[0]
    running = site.current()[first]

    def edit_in_use() -> None:
        in_use = site.shell(first, f"readlink {site.cluster.config_dir}/current").strip()
        if in_use not in running:
            edit(site, first, in_use.rsplit("/", 1)[-1], "pre-start")

    with pytest.raises(RolledBack):
        site.deploy(before_step=before("start-member", first, edit_in_use))
    site.require_healthy()


def test_a_stopped_member_whose_files_are_edited_is_started_with_those_of_the_spec(
    site: Site,
) -> None:
    host = site.hosts[1]
    in_use = site.shell(host, f"readlink {site.cluster.config_dir}/current").strip()
    site.stop(host)
    edit(site, host, in_use.rsplit("/", 1)[-1], "unit")
    assert "stage-generation" in step_names(site.plan(), host)
    assert site.deploy().outcome == "done"


def test_a_stopped_member_whose_files_are_edited_after_the_plan_is_not_started(site: Site) -> None:
    host = site.hosts[1]
    in_use = site.shell(host, f"readlink {site.cluster.config_dir}/current").strip()
    site.stop(host)
    hook = before(
        "start-member", host, lambda: edit(site, host, in_use.rsplit("/", 1)[-1], "pre-start")
    )
    with pytest.raises(Refused, match="pre-start"):
        site.deploy(before_step=hook)
    assert site.watch.restarts()[host].pid == 0


def test_another_ca_than_at_the_look_takes_nobody_down(site: Site) -> None:
    next_setting(site)
    first = members(site.plan())[0]
    ca = f"{site.cluster.config_dir}/tls/ca.pem"
    starts = site.starts()
    hook = before(
        "stop-member", first, lambda: site.shell(first, f"cp -p {ca} {ca}.kept; echo >> {ca}")
    )
    try:
        with pytest.raises(Refused, match=r"tls/ca\.pem"):
            site.deploy(before_step=hook)
    finally:
        site.shell(first, f"mv {ca}.kept {ca}")
    assert site.starts() == starts


def test_the_way_back_to_edited_files_is_said_before(site: Site) -> None:
    host = site.hosts[0]
    in_use = site.shell(host, f"readlink {site.cluster.config_dir}/current").strip()
    site.shell(host, f"echo '# a note' >> {site.cluster.config_dir}/{in_use}/etcd.yaml")
    site.apply(version=NEW)
    assert "GenerationEdited" in warnings(site.plan())
