"""What service-redeploy plans, and that it converges from wherever it was cut off."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from quoracy.hosts.machine import HostSilent
from quoracy.operation.plan import Group, Plan, remaining_actions
from quoracy.operation.step import Step
from quoracy.services.facts import ServiceHostFacts
from quoracy.services.facts_site import ServiceFacts
from quoracy.services.plan.redeploy import plan_service_redeploy
from quoracy.services.plan.request import RedeployRequest
from quoracy.services.plan.rollback import plan_service_rollback
from quoracy.services.plan.switching import is_canary_due
from quoracy.services.spec import Service
from quoracy.services.steps import StageRelease, SwitchRelease
from tests.service_factories import (
    ServiceHost,
    ServiceWorld,
    Unhealthy,
    flat_host,
    machine,
    release,
    request,
    running_host,
    service,
)

START: dict[str, Callable[[], ServiceHost]] = {
    "none": ServiceHost,
    "flat": flat_host,
    "old": lambda: running_host("old1", "old"),
    "older": lambda: running_host("old2", "old", {f"a{n}": f"s{n}" for n in range(5)}),
    "down": lambda: ServiceHost(
        layout="releases",
        current="old1",
        releases={"old1": release("old1", "old")},
        prepared=True,
    ),
    # Made by a run that never came to its switch.
    "leftover": lambda: replace(flat_host(), releases={"old1": release("old1", "old")}),
}


class CutOff(Exception):
    """The controller died."""


def names(group: Group) -> list[str]:
    return [step.name for step in group.steps]


def carry_out(world: ServiceWorld, spec: Service, wanted: RedeployRequest, *, last: int) -> Plan:
    """The loop in small: what it did, how often at most, and putting back what failed.

    What is left after each group is what was shown (law 3).
    """
    taken = itertools.count(1)
    shown = plan_service_redeploy(spec, world.look(), wanted)
    left, done = remaining_actions(shown), frozenset[str]()

    def take(step: Step) -> None:
        if next(taken) > last:
            raise CutOff
        world.take(step, wanted)

    while True:
        canary = is_canary_due(shown, done)
        plan = plan_service_redeploy(spec, world.look(), wanted, canary=canary)
        assert not plan.refused, plan.verdicts
        assert left == remaining_actions(plan)
        assert [group.title for group in plan.groups] == [
            group.title for group in shown.groups if group.title not in done
        ]
        if not plan.groups:
            return plan
        for step in plan.before:
            take(step)
        group, acted = plan.groups[0], []
        try:
            for step in group.steps:
                acted.append(step)
                take(step)
        except Unhealthy:
            for step in reversed(acted):
                for back in step.undo:
                    take(back)
            raise
        left = remaining_actions(replace(plan, groups=plan.groups[1:]))
        done |= {group.title}


def world_of(*kinds: str, broken: frozenset[str] = frozenset()) -> ServiceWorld:
    hosts = {f"h{number}": START[kind]() for number, kind in enumerate(kinds, 1)}
    return ServiceWorld(hosts, broken)


PAIRS = tuple(itertools.combinations_with_replacement(START, 2))
SETTINGS = {
    "plain": {},
    "hooks": {"redeploy": {"pre_deploy_hook": "pre.sh", "post_deploy_hook": "post.sh"}},
    "batches": {"redeploy": {"batch": 1, "keep_releases": 2}},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("made", ["here", "host", "as it is"])
@pytest.mark.parametrize("kinds", PAIRS, ids="-".join)
def test_cut_off_after_any_step_the_next_run_converges(
    kinds: tuple[str, ...], made: str, settings: dict[str, object]
) -> None:
    spec = service(2, **settings)
    wanted = request(
        2,
        dependencies={"h1": "k1", "h2": "k2"},
        builds_here=made == "here",
        builds_on_host=made == "host",
    )
    for last in range(40):
        world = world_of(*kinds)
        try:
            carry_out(world, spec, wanted, last=last)
            break
        except CutOff:
            carry_out(world, spec, wanted, last=100)
        for name, host in world.hosts.items():
            assert host.current == host.running == wanted.release(name, host.facts())
            assert host.releases[host.current].healthy
            assert not host.flat
            assert not host.adopting
            assert wanted.dependencies[name] in host.dependencies
    else:
        pytest.fail("it never came to an end")
    assert last > 4


@pytest.mark.parametrize("kind", [kind for kind in START if kind != "none"])
def test_a_broken_release_leaves_the_first_host_as_it_was_and_the_others_untouched(
    kind: str,
) -> None:
    wanted = request(3, source="bad")
    world = world_of(kind, kind, kind, broken=frozenset({"bad"}))
    before = {name: (host.layout, host.current) for name, host in world.hosts.items()}
    with pytest.raises(Unhealthy):
        carry_out(world, service(3), wanted, last=100)
    assert {name: (host.layout, host.current) for name, host in world.hosts.items()} == before
    assert world.hosts["h1"].running
    assert not any(host.adopting for host in world.hosts.values())


def test_nothing_is_switched_before_all_is_staged_and_the_first_host_goes_alone() -> None:
    plan = plan_service_redeploy(service(5), world_of(*["old"] * 5).look(), request(5))
    assert [group.title for group in plan.groups] == ["stage", "h1", "h2, h3", "h4, h5"]
    assert set(names(plan.groups[0])) == {"stage-release"}
    assert names(plan.groups[1]) == ["switch-release", "await-service"]
    assert [group.parallel for group in plan.groups] == [True, False, True, True]


@pytest.mark.parametrize(
    ("kinds", "said"),
    [
        (("old", "old"), "`quoracy service rollback web --to old1` takes all hosts back"),
        (("flat", "flat"), "`quoracy service rollback web --to flat` takes all hosts back"),
        (("none", "none"), ""),
        (
            ("old", "older"),
            "`quoracy service rollback web --to RELEASE` takes all hosts back, "
            "with one of those of `quoracy service releases web`",
        ),
    ],
)
def test_the_way_back_for_hosts_that_keep_the_release_is_a_command(
    kinds: tuple[str, ...], said: str
) -> None:
    plan = plan_service_redeploy(service(2), world_of(*kinds).look(), request(2))
    assert plan.way_back == said


def test_what_runs_already_is_left_alone() -> None:
    wanted = request()
    world = ServiceWorld({"h1": running_host(wanted.release("h1", ServiceHost().facts()), "new")})
    plan = plan_service_redeploy(service(), world.look(), wanted)
    assert (plan.kind, plan.groups) == ("nothing", ())


@pytest.mark.parametrize("change", [{"recipe": "other"}, {"dependencies": {"h1": "k"}}])
def test_another_recipe_or_lock_file_is_another_release(change: dict[str, Any]) -> None:
    known = request()
    world = ServiceWorld({"h1": running_host(known.release("h1", ServiceHost().facts()), "new")})
    plan = plan_service_redeploy(service(), world.look(), request(**change))
    assert plan.kind == "change"


def test_force_makes_the_same_code_a_new_release_once() -> None:
    known = request()
    wanted = request(forced=True, token="f00")
    world = ServiceWorld({"h1": running_host(known.release("h1", ServiceHost().facts()), "new")})
    carry_out(world, service(), wanted, last=100)
    assert (world.hosts["h1"].current or "").endswith("-f00")
    assert plan_service_redeploy(service(), world.look(), known).kind == "nothing"


def test_a_drifted_release_is_sent_whole() -> None:
    known = request()
    wanted = request(drifted=frozenset({"h1"}), token="f00")
    world = ServiceWorld({"h1": running_host(known.release("h1", ServiceHost().facts()), "new")})
    plan = plan_service_redeploy(service(), world.look(), wanted)
    (stage,) = (step for _, step in plan.steps if step.name == "stage-release")
    assert isinstance(stage, StageRelease)
    assert stage.base == ""


def test_a_release_that_has_not_passed_its_gate_is_switched_to_again() -> None:
    wanted = request()
    identity = wanted.release("h1", ServiceHost().facts())
    host = running_host(identity, "new", {"old1": "old"})
    host.releases[identity] = release(identity, "new", healthy=False)
    plan = plan_service_redeploy(service(), ServiceWorld({"h1": host}).look(), wanted)
    (group,) = plan.groups
    assert names(group)[:2] == ["switch-release", "await-service"]
    switch = group.steps[0]
    assert isinstance(switch, SwitchRelease)
    assert [step.name for step in switch.undo] == ["switch-back", "await-service"]
    assert switch.previous == "old1"


def test_what_was_put_back_and_did_not_serve_either_is_not_called_done() -> None:
    wanted = request(source="old")
    known = wanted.release("h1", ServiceHost().facts())
    world = ServiceWorld({"h1": running_host(known, "old")}, broken=frozenset({"bad"}))
    with pytest.raises(CutOff):
        carry_out(world, service(), request(source="bad"), last=4)
    assert world.hosts["h1"].current == known  # its process may run, but nobody has seen it answer
    plan = plan_service_redeploy(service(), world.look(), wanted)
    assert names(plan.groups[0]) == ["switch-release", "await-service"]
    assert [change.what for change in plan.changes] == ["release", "gate"]
    # Another code's way back leads there nevertheless: it was healthy once.
    (group,) = plan_service_redeploy(service(), world.look(), request(source="third")).groups
    (switch,) = (step for step in group.steps if isinstance(step, SwitchRelease))
    assert switch.previous == known


def test_old_releases_go_once_there_are_more_than_wanted() -> None:
    world = world_of("older")
    plan = plan_service_redeploy(service(), world.look(), request())
    assert names(plan.groups[-1])[-1] == "prune-releases"
    many = service(redeploy={"keep_releases": 20})
    plan = plan_service_redeploy(many, world.look(), request())
    assert "prune-releases" not in names(plan.groups[-1])


def test_the_copy_of_the_flat_directory_counts_among_the_releases() -> None:
    spec = service(3, redeploy={"keep_releases": 2})
    world = world_of(*["leftover"] * 3)
    world.keep = 2
    shown = plan_service_redeploy(spec, world.look(), request(3))
    assert [step.host for _, step in shown.steps if step.name == "prune-releases"] == [
        "h1",
        "h2",
        "h3",
    ]
    carry_out(world, spec, request(3), last=100)  # and after each group that is what is left
    assert all("old1" not in host.releases for host in world.hosts.values())


@pytest.mark.parametrize("hosts", [1, 2])
@pytest.mark.parametrize(
    ("recipe", "prepared", "prepares"),
    [("recipe", True, 0), ("recipe", False, 1), ("another user", True, 1)],
)
def test_user_and_directories_are_made_when_they_may_be_others(
    recipe: str, prepared: bool, prepares: int, hosts: int
) -> None:
    world, wanted = world_of(*["old"] * hosts), request(hosts, recipe=recipe)
    for host in world.hosts.values():
        host.prepared = prepared
    plan = plan_service_redeploy(service(hosts), world.look(), wanted)
    steps = [step.name for _, step in plan.steps]
    assert steps.count("prepare-service") == prepares * hosts
    assert steps[0] == ("prepare-service" if prepares else "stage-release")
    carry_out(world, service(hosts), wanted, last=100)


REFUSED: dict[str, Callable[[], ServiceHostFacts | HostSilent]] = {
    "HostSilent": lambda: HostSilent("it does not answer"),
    "NoSystemd": lambda: ServiceHost(host=machine(systemd=False)).facts(),
    "ArchitectureUnknown": lambda: ServiceHost(host=machine(architecture="sparc")).facts(),
    "RuntimeMissing": lambda: ServiceHost(runtime="").facts(),
    "PortTaken": lambda: ServiceHost(port_taken=True).facts(),
    "DiskTooSmall": lambda: ServiceHost(host=machine(free_bytes={"/opt/web": 1000})).facts(),
    "NamesTaken": lambda: replace(flat_host().facts(), taken=("shared",)),
    "OwnedByAnother": lambda: replace(ServiceHost().facts(), subject="service:shop"),
    "FilesUnnamed": lambda: flat_host("index.js", "uploads/a.png").facts(),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_stands_against_it_is_refused_with_a_next_step(reason: str) -> None:
    facts = ServiceFacts({"h1": REFUSED[reason]()})
    wanted = request(dependencies={"h1": ""})
    plan = plan_service_redeploy(service(), facts, wanted)
    assert not plan.groups
    (verdict,) = (one for one in plan.verdicts if one.stops)
    assert verdict.reason == reason
    assert verdict.where == "h1"
    assert verdict.next_step


@pytest.mark.parametrize(
    ("settings", "asked", "refused"),
    [
        ({}, {}, False),
        ({"dependencies_on": "host"}, {"dependencies": {"h1": "k"}}, True),
        ({"dependencies_on": "controller"}, {"dependencies": {"h1": "k"}}, False),
        ({"pre_deploy_hook": "hook.sh"}, {}, True),
        ({"post_deploy_hook": "hook.sh"}, {}, True),
        ({"build_on": "host"}, {"builds_on_host": True}, True),
    ],
)
def test_without_a_system_bus_nothing_is_begun_that_needs_it(
    settings: dict[str, str], asked: dict[str, Any], refused: bool
) -> None:
    found = ServiceHost(host=machine(bus=False))
    facts = ServiceFacts({"h1": found.facts()})
    wanted = request(**asked)
    plan = plan_service_redeploy(service(redeploy=settings), facts, wanted)
    assert [one.reason for one in plan.verdicts if one.stops] == ["NoSystemBus"] * refused
    assert bool(plan.groups) is not refused


@pytest.mark.parametrize("digest", ["of its orders", ""])
def test_what_the_service_has_written_over_the_code_is_refused_by_name(digest: str) -> None:
    host = flat_host("index.js", "data/app.db", "conf.json")
    host.written = {"index.js": "as in the code", "data/app.db": digest, "conf.json": "x"}
    code = {"index.js": "as in the code", "data/app.db": "seed", "conf.json": "y"}
    plan = plan_service_redeploy(
        service(), ServiceWorld({"h1": host}).look(), request(paths=code, outputs=("conf.json",))
    )
    (verdict,) = (one for one in plan.verdicts if one.stops)
    assert verdict.reason == "FilesChangedByService"
    assert verdict.message.startswith("1 files are in the code and are others in /opt/web")
    assert verdict.message.endswith(": data/app.db")


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"leave_behind": ["data/*"]}, {"index.js": "", "data/app.db": "seed"}),
        ({"shared": ["data"]}, {"index.js": ""}),
        ({}, {"index.js": "", "data/app.db": "the same"}),
    ],
)
def test_what_is_named_or_the_same_is_no_hindrance(
    settings: dict[str, object], code: dict[str, str]
) -> None:
    host = flat_host("index.js", "data/app.db")
    host.written = {"data/app.db": "the same" if not settings else "other"}
    facts = ServiceWorld({"h1": host}).look()
    assert not plan_service_redeploy(service(redeploy=settings), facts, request(paths=code)).refused


@pytest.mark.parametrize("subject", ["", "service:web", "service:shop"])
def test_a_unit_of_another_service_is_not_replaced(subject: str) -> None:
    facts = running_host("old1", "old").facts()
    found = ServiceFacts({"h1": replace(facts, unit=replace(facts.unit, subject=subject))})
    for plan in (
        plan_service_redeploy(service(), found, request()),
        plan_service_rollback(service(), found, "old1", {}),
    ):
        told = [(one.reason, one.message) for one in plan.verdicts if one.stops]
        expected = ("OwnedByAnother", "the unit web.service was installed for service:shop")
        assert told == ([expected] if subject == "service:shop" else [])


@pytest.mark.parametrize(
    "settings",
    [{"shared": ["uploads"]}, {"leave_behind": ["uploads"]}, {"leave_behind": ["uploads/*.png"]}],
)
def test_files_that_are_named_are_no_hindrance(settings: dict[str, object]) -> None:
    facts = ServiceFacts({"h1": flat_host("index.js", "uploads/a.png").facts()})
    plan = plan_service_redeploy(service(redeploy=settings), facts, request())
    (group,) = plan.groups
    assert names(group) == [
        "prepare-service",
        "stage-release",
        "keep-flat",
        "adopt-service",
        "await-service",
        "clear-flat",
    ]
