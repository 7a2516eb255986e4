"""What service-rollback plans: which release, on which hosts, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

from quoracy.operation.plan import Plan
from quoracy.services.plan.rollback import plan_service_rollback
from tests.service_factories import (
    ServiceHost,
    ServiceWorld,
    flat_host,
    release,
    running_host,
    service,
)


def plan_of(*hosts: ServiceHost, to: str = "", chosen: dict[str, str] | None = None) -> Plan:
    world = ServiceWorld({f"h{number}": host for number, host in enumerate(hosts, 1)})
    return plan_service_rollback(service(len(hosts)), world.look(), to, chosen or {})


def host() -> ServiceHost:
    return running_host("new1", "new", {"a1": "first", "b2": "second"})


def reasons(plan: Plan) -> list[str]:
    return [one.reason for one in plan.verdicts if one.stops]


def switched(plan: Plan) -> dict[str, str]:
    return {s.host: s.release for _, s in plan.steps if s.name == "switch-release"}  # type: ignore[attr-defined]


def test_the_release_that_served_before_serves_again_and_the_gate_is_asked() -> None:
    plan = plan_of(host(), host(), host())
    assert [group.title for group in plan.groups] == ["h1", "h2, h3"]
    assert switched(plan) == dict.fromkeys(("h1", "h2", "h3"), "b2")
    first = plan.groups[0]
    assert [step.name for step in first.steps] == ["switch-release", "await-service"]
    assert [step.name for step in first.steps[0].undo] == ["switch-back", "await-service"]


def test_a_release_is_named_by_the_beginning_of_its_id() -> None:
    assert switched(plan_of(host(), to="a")) == {"h1": "a1"}


def test_the_one_that_runs_already_is_left_alone() -> None:
    plan = plan_of(host(), to="new1")
    assert (plan.kind, plan.groups) == ("nothing", ())


def test_what_was_chosen_before_anything_was_switched_stays_chosen() -> None:
    done = running_host("b2", "second", {"new1": "new"})
    plan = plan_of(done, host(), chosen={"h1": "b2", "h2": "b2"})
    assert switched(plan) == {"h2": "b2"}


def test_hosts_of_different_releases_need_a_name() -> None:
    plan = plan_of(host(), running_host("b2", "second", {"a1": "first"}))
    assert reasons(plan) == ["ReleasesDiffer"]
    assert switched(plan_of(host(), running_host("b2", "second", {"a1": "first"}), to="a1")) == {
        "h1": "a1",
        "h2": "a1",
    }


def test_a_release_that_is_not_there_is_refused_with_those_that_are() -> None:
    found = running_host("new1", "new", {"old1": "old"})
    found.releases["bad1"] = release("bad1", "bad", created_s=60, healthy=False)
    plan = plan_of(found, to="zz")
    assert reasons(plan) == ["ReleaseMissing"]
    assert plan.verdicts[0].next_step == (
        "there are beside the one that runs: bad1 (never healthy), old1"
    )


def test_where_nothing_else_is_the_older_code_has_to_be_redeployed() -> None:
    plan = plan_of(running_host("new1", "new"))
    assert reasons(plan) == ["ReleaseMissing"]
    assert plan.verdicts[0].next_step == "redeploy the older code"


def test_a_host_that_was_never_adopted_runs_the_flat_directory_already() -> None:
    left = flat_host()
    left.releases["flat"] = release("flat", "")
    adopted = running_host("new1", "new", {"flat": ""})
    assert switched(plan_of(adopted, left, to="flat")) == {"h1": "flat"}
    assert reasons(plan_of(adopted, left, to="new1")) == ["ReleaseMissing"]
    assert reasons(plan_of(left)) == ["ReleaseMissing"]


def test_an_unclear_beginning_is_refused() -> None:
    two = running_host("new1", "new", {"new2": "other"})
    assert reasons(plan_of(two, to="new")) == ["ReleaseMissing"]


def test_a_release_that_was_never_healthy_is_not_gone_back_to_unless_it_is_named() -> None:
    one = host()
    one.releases["b2"] = release("b2", "second", created_s=2, healthy=False)
    assert one.previous == "b2"
    assert switched(plan_of(one)) == {"h1": "a1"}
    assert switched(plan_of(one, to="b2")) == {"h1": "b2"}


def test_what_was_healthy_once_and_not_since_its_last_switch_is_asked_again() -> None:
    one = host()
    one.releases["new1"] = replace(one.releases["new1"], healthy=False)
    assert switched(plan_of(one, to="new1")) == {"h1": "new1"}


def test_without_a_link_to_it_the_newest_healthy_one_before_is_taken() -> None:
    one = host()
    one.previous = None
    one.releases["b2"] = release("b2", "second", created_s=2, healthy=False)
    assert switched(plan_of(one)) == {"h1": "a1"}
