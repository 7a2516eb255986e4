"""static: nothing is done only while nginx serves what is current."""

from __future__ import annotations

from dataclasses import replace

import pytest

from quoracy.services.facts_site import ServiceFacts
from quoracy.services.plan.redeploy import plan_service_redeploy
from quoracy.services.plan.rollback import plan_service_rollback
from quoracy.services.plan.switching import runs_current
from quoracy.services.steps import AwaitService, SwitchRelease
from tests.service_factories import request, running_host, service

SITE = service(service_type="static", app_port=80)
PUBLIC = "/opt/web/current/.quoracy/public"


def found(root: str) -> ServiceFacts:
    """A host that runs what is wanted, and whose nginx serves that place."""
    wanted = request()
    name = wanted.release("h1", running_host("x", "x").facts())
    host = running_host(name, "new", {"old": "o"}).facts()
    return ServiceFacts({"h1": replace(host, web_root=root, runtime="nginx/1.22")})


def test_a_web_root_that_leads_to_the_current_release_is_left_alone() -> None:
    assert plan_service_redeploy(SITE, found(PUBLIC), request()).kind == "nothing"


@pytest.mark.parametrize("root", ["", "empty", "/usr/share/nginx/html"])
def test_any_other_is_led_back(root: str) -> None:
    facts = found(root)
    current = str(facts.heard["h1"].current)
    assert not runs_current(SITE, facts.heard["h1"])
    plan = plan_service_redeploy(SITE, facts, request())
    assert [type(step) for _, step in plan.steps] == [SwitchRelease, AwaitService]
    told = [(one.what, one.before, one.after) for one in plan.changes]
    assert ("web root", root or "nothing", PUBLIC) in told
    back = plan_service_rollback(SITE, facts, current, {})
    assert [type(step) for _, step in back.steps] == [SwitchRelease, AwaitService]
    assert plan_service_rollback(SITE, found(PUBLIC), current, {}).kind == "nothing"
