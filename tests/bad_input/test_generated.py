"""1,000 generated situations and 1,000 generated specs: no traceback, and no plan that breaks a law.

Derandomized: each run tries the same ones. What is found goes into a test of its own.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quoracy.errors import Refused, UsageError
from quoracy.etcd import scripts as commands
from quoracy.etcd.facts import etcd_questions
from quoracy.etcd.plan.deploy import plan_etcd_deploy
from quoracy.etcd.spec import EtcdCluster
from quoracy.etcd.spec_parse import parse_cluster
from quoracy.etcd.templates import bootstrap_config, render_generation
from quoracy.hosts.question import ask_all
from quoracy.operation.markdown import plan_markdown
from quoracy.operation.plan import Plan
from quoracy.operation.verdict import require
from tests.bad_input.generated import GOOD, TYPOS, VALUES, Situation, paths, put, situations
from tests.bad_input.laws import broken

THOUSAND = settings(
    max_examples=1000,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def test_no_plan_breaks_a_law() -> None:
    seen: Counter[str] = Counter()

    @THOUSAND
    @given(situations())
    def judge(situation: Situation) -> None:
        plan = assert_lawful(situation)
        seen["refused" if plan.refused else plan.kind] += 1

    judge()
    print(f"generated plans: {dict(seen)}")
    # One that only ever saw refusals would prove nothing.
    assert sum(seen.values()) >= 1000
    assert min(seen[kind] for kind in ("refused", "create", "change", "start", "nothing")) >= 10


def assert_lawful(situation: Situation) -> Plan:
    cluster, facts, asked = situation.cluster, situation.facts, situation.asked
    plan = plan_etcd_deploy(cluster, facts, asked)
    assert plan == plan_etcd_deploy(cluster, facts, asked)
    assert_can_be_shown(plan)
    if not plan.refused:
        pinned, downtime = asked.pinned_cluster_id, asked.allow_downtime
        assert broken(cluster, facts, pinned, plan, downtime=downtime) == []
    return plan


def assert_can_be_shown(plan: Plan) -> None:
    """As an artifact and as JSON; a refusal says what, and what to do next."""
    assert json.loads(json.dumps(plan.as_dict()))["refused"] is plan.refused
    assert plan.title in plan_markdown(plan)
    stopping = [verdict for verdict in plan.verdicts if verdict.stops]
    assert [verdict.reason for verdict in stopping if not verdict.next_step] == []
    if stopping:
        with pytest.raises(Refused) as refusal:
            require(plan.verdicts)
        assert refusal.value.next_step


@THOUSAND
@given(st.data())
def test_no_document_is_a_traceback(data: st.DataObject) -> None:
    good = yaml.safe_load(GOOD)
    document = good
    for _ in range(data.draw(st.integers(1, 3))):
        document = put(document, data.draw(st.sampled_from(paths(good))), data.draw(VALUES))
    assert_parsed_or_refused(yaml.safe_dump(document, allow_unicode=True))


@THOUSAND
@given(TYPOS)
def test_no_typo_is_a_traceback(text: str) -> None:
    assert_parsed_or_refused(text)


def parsed(text: str) -> tuple[EtcdCluster | None, UsageError | None]:
    try:
        return parse_cluster(text, source="cluster.yaml"), None
    except UsageError as error:
        return None, error


def assert_parsed_or_refused(text: str) -> None:
    cluster, refusal = parsed(text)
    if cluster is None:
        assert refusal is not None
        assert (refusal.where, refusal.exit_code) == ("cluster.yaml", 2)
        assert refusal.next_step
        assert all(char.isprintable() or char == "\n" for char in str(refusal))
        return
    assert EtcdCluster.model_validate_json(cluster.model_dump_json()) == cluster
    for host in cluster.hosts:
        config: Any = yaml.safe_load(render_generation(cluster, host).config)
        assert (config["name"], config["data-dir"]) == (host.name, cluster.data_dir)
    assert "initial-cluster" in yaml.safe_load(bootstrap_config(cluster, "token"))
    assert commands.prepare_host(cluster)
    assert ask_all(etcd_questions(cluster))
