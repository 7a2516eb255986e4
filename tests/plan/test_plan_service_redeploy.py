"""What service-redeploy plans, and that it converges from wherever it was cut off."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from service_factories import (
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

from quoracy.facts.host import HostSilent
from quoracy.facts.service_site import ServiceFacts
from quoracy.plan.plan import Group, Plan, Step
from quoracy.plan.service_redeploy import RedeployRequest, plan_service_redeploy
from quoracy.spec.service import Service

START: dict[str, Callable[[], ServiceHost]] = {
    "none": ServiceHost,
    "flat": flat_host,
    "old": lambda: running_host("old1", "old"),
    "older": lambda: running_host("old2", "old", {f"a{n}": f"s{n}" for n in range(5)}),
    "down": lambda: ServiceHost(
        layout="releases", current="old1", releases={"old1": release("old1", "old")}
    ),
}


class CutOff(Exception):
    """The controller died."""


def names(group: Group) -> list[str]:
    return [step.name for step in group.steps]


def carry_out(world: ServiceWorld, spec: Service, wanted: RedeployRequest, *, last: int) -> Plan:
    """The loop in small: what it did, how often at most, and putting back what failed."""
    taken = itertools.count(1)

    def take(step: Step) -> None:
        if next(taken) > last:
            raise CutOff
        world.take(step, wanted)

    while True:
        plan = plan_service_redeploy(spec, world.look(), wanted)
        assert not plan.refused, plan.verdicts
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


def test_what_runs_already_is_left_alone() -> None:
    wanted = request()
    world = ServiceWorld({"h1": running_host(wanted.release("h1", ServiceHost().facts()), "new")})
    plan = plan_service_redeploy(service(), world.look(), wanted)
    assert (plan.kind, plan.groups) == ("nothing", ())


@pytest.mark.parametrize("change", [{"recipe": "other"}, {"dependencies": {"h1": "k"}}])
def test_another_recipe_or_lock_file_is_another_release(change: dict[str, object]) -> None:
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
    assert stage.base == ""


def test_a_release_that_has_not_passed_its_gate_is_switched_to_again() -> None:
    wanted = request()
    identity = wanted.release("h1", ServiceHost().facts())
    host = running_host(identity, "new", {"old1": "old"})
    host.releases[identity] = release(identity, "new", healthy=False)
    plan = plan_service_redeploy(service(), ServiceWorld({"h1": host}).look(), wanted)
    (group,) = plan.groups
    assert names(group)[:2] == ["switch-release", "await-service"]
    assert [step.name for step in group.steps[0].undo] == ["switch-back", "await-service"]
    assert group.steps[0].previous == "old1"


def test_old_releases_go_once_there_are_more_than_wanted() -> None:
    world = world_of("older")
    plan = plan_service_redeploy(service(), world.look(), request())
    assert names(plan.groups[-1])[-1] == "prune-releases"
    many = service(redeploy={"keep_releases": 20})
    plan = plan_service_redeploy(many, world.look(), request())
    assert "prune-releases" not in names(plan.groups[-1])


REFUSED = {
    "HostSilent": lambda: HostSilent("it does not answer"),
    "NoSystemd": lambda: ServiceHost(host=machine(systemd=False)).facts(),
    "ArchitectureUnknown": lambda: ServiceHost(host=machine(architecture="sparc")).facts(),
    "RuntimeMissing": lambda: ServiceHost(runtime="").facts(),
    "PortTaken": lambda: ServiceHost(port_taken=True).facts(),
    "DiskTooSmall": lambda: ServiceHost(host=machine(free_bytes={"/opt/web": 1000})).facts(),
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
