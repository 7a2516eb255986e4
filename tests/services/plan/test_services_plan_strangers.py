"""What is somebody else's is named, and stands against a plan where the plan would touch it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from quoracy.operation.plan import Plan
from quoracy.services.facts import ServiceHostFacts
from quoracy.services.facts_site import ServiceFacts
from quoracy.services.plan.redeploy import plan_service_redeploy
from quoracy.services.plan.rollback import plan_service_rollback
from quoracy.services.spec import Service
from tests.service_factories import ServiceHost, flat_host, request, running_host, service

SITE = service(service_type="static", app_port=80)


def running(**changes: Any) -> ServiceHostFacts:
    return replace(running_host("a1", "old", {"b2": "older"}).facts(), **changes)


def plans(found: ServiceHostFacts, of: Service | None = None) -> tuple[Plan, Plan]:
    wanted, facts = of or service(), ServiceFacts({"h1": replace(found, runtime="there")})
    return (
        plan_service_redeploy(wanted, facts, request()),
        plan_service_rollback(wanted, facts, "", {}),
    )


def test_what_lies_among_the_releases_is_told_and_stops_nothing() -> None:
    for plan in plans(running(strange=("releases/a1.bak",))):
        (told,) = plan.verdicts
        assert told.message == (
            "in /opt/web there is what Quoracy has not made, and leaves alone: releases/a1.bak"
        )
        assert not plan.refused
        assert plan.groups


def test_a_current_that_leads_to_somebody_elses_is_told() -> None:
    host = running_host("a1", "old", {"b2": "older"})
    host.current, host.astray = None, "releases/mine"
    plan, _ = plans(host.facts())
    assert [one.message.split(",")[0] for one in plan.verdicts] == [
        "/opt/web/current leads to releases/mine"
    ]


def test_a_name_that_is_needed_and_taken_is_refused() -> None:
    wanted = request(dependencies={"h1": "k1"})
    name = wanted.release("h1", ServiceHost().facts())
    for taken, advice in ((f"releases/{name}", "--force"), ("deps/k1", "new app_dir")):
        facts = ServiceFacts({"h1": running(strange=(taken,))})
        plan = plan_service_redeploy(service(), facts, wanted)
        (stop,) = (one for one in plan.verdicts if one.stops)
        assert (stop.reason, taken in stop.message, advice in stop.next_step) == (
            "NamesTaken",
            True,
            True,
        )


def test_a_unit_of_somebody_elses_is_refused_by_name() -> None:
    found = running()
    said = "ssh.service is not this service's: its file /lib/systemd/system/ssh.service is …"
    unit = replace(found.unit, foreign=(said,))
    for plan in plans(replace(found, unit=unit)):
        (stop,) = plan.verdicts
        assert (stop.reason, stop.message) == ("UnitTaken", f"the unit {said}")
        assert "app_service_name" in stop.next_step
        assert not plan.groups


@pytest.mark.parametrize(
    ("owner", "refused"), [("", False), ("root", False), ("appuser", False), ("bob", True)]
)
def test_a_directory_is_nobodys_or_the_services_own(owner: str, refused: bool) -> None:
    found = replace(ServiceHost().facts(), directory_of=owner)
    plan, _ = plans(found)
    assert [one.reason for one in plan.verdicts] == (["DirectoryTaken"] if refused else [])


@pytest.mark.parametrize(
    ("layout", "root", "refused"),
    [
        ("none", "", False),
        ("none", "empty", False),
        ("none", "directory", True),
        ("none", "file", True),
        ("none", "/srv/www", True),
        ("flat", "directory", False),
        ("flat", "/opt/web/dist", False),
        ("flat", "/srv/www", True),
        ("releases", "/srv/www", False),
        ("releases", "directory", True),
    ],
)
def test_a_web_root_is_ours_or_adopted_or_nothing_yet(
    layout: str, root: str, refused: bool
) -> None:
    host = {"none": ServiceHost().facts(), "flat": flat_host().facts(), "releases": running()}
    plan, _ = plans(replace(host[layout], web_root=root), SITE)
    stops = [one for one in plan.verdicts if one.stops]
    assert [one.reason for one in stops] == (["WebRootTaken"] if refused else [])
    for stop in stops:
        assert stop.message.startswith("/var/www/web is a ")


def test_no_next_step_tells_anybody_to_touch_what_is_not_ours() -> None:
    found = running(
        port_taken=True,
        taken=("releases",),
        subject="service:web",
        directory_of="bob",
        strange=("releases/x",),
        web_root="directory",
    )
    found = replace(found, unit=replace(found.unit, foreign=("x",)))
    advice = [one.next_step for of in (service(), SITE) for one in plans(found, of)[0].verdicts]
    for word in ("stop", "move", "delete", "remove", "disable", "kill"):
        assert not [one for one in advice if f"{word} " in one.replace("left alone", "")], word
