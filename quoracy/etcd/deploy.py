"""etcd-deploy put together: spec from the database, facts from the hosts, plan, and the work of the loop."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from pydantic import ValidationError

from quoracy.db.clusters import get_cluster
from quoracy.db.session import Database
from quoracy.errors import UsageError
from quoracy.etcd.certificates import wanted_certificates
from quoracy.etcd.compare import compare_revisions
from quoracy.etcd.facts_cluster import EtcdFacts
from quoracy.etcd.operation import EtcdOperation, settle_seconds
from quoracy.etcd.params import Action, DeployOption
from quoracy.etcd.plan.deploy import DeployRequest, plan_etcd_deploy
from quoracy.etcd.plan.refusals import ARCHITECTURES
from quoracy.etcd.site import release_source
from quoracy.etcd.spec import EtcdCluster, recorded_cluster
from quoracy.etcd.steps import InstallRelease
from quoracy.home import Home
from quoracy.hosts.pool import HostPool
from quoracy.hosts.targets import ssh_targets
from quoracy.operation.operation import open_controller
from quoracy.operation.plan import Plan
from quoracy.operation.verdict import Verdict, failed
from quoracy.releases.check import check_releases
from quoracy.specs.fields import place_of


@dataclass(frozen=True, slots=True)
class Wanted:
    """The parameters of etcd-deploy, as a person gives them.

    Attributes:
        pause_after_first: Ask before the second member is touched.
        plan_id: Digest of the plan that was looked at; any other plan is refused.
    """

    cluster: str
    action: Action = Action.DEPLOY
    version: str | None = None
    option: DeployOption | None = None
    dry_run: bool = False
    allow_downtime: bool = False
    allow_bad_version: bool = False
    pause_after_first: bool = False
    plan_id: str = ""


@dataclass(slots=True, kw_only=True)
class EtcdDeploy(EtcdOperation):
    """One etcd-deploy under way."""

    wanted: Wanted
    request: DeployRequest

    def decide(self, facts: EtcdFacts) -> Plan:
        """The plan with the entry validations of the action, and a first look at the releases."""
        plan = plan_etcd_deploy(self.cluster, facts, self.request)
        if plan.kind == "nothing" and not plan.refused:
            # All else compares the members before it believes one of them: the snapshot, the create.
            compared = compare_revisions(self.cluster, self.pool, facts)
            if compared.stops:
                title = f"{self.cluster.name} is as wanted, and its members hold different data"
                return replace(plan, title=title, verdicts=(*plan.verdicts, compared))
        verdicts = self._check_releases(plan, facts, download=False)
        return replace(plan, verdicts=(*plan.verdicts, *verdicts))

    def decide_again(self, facts: EtcdFacts, shown: Plan, done: frozenset[str]) -> Plan:  # noqa: ARG002
        """The validations of the action hold at the entry; the loop only asks what is left."""
        request = replace(
            self.request,
            action=Action.DEPLOY,
            option=None,
            start_only=shown.kind == "start",
            # A create makes the CA and pins the ID on its way.
            pinned_cluster_id=get_cluster(self.db, self.cluster.name).cluster_id,
            certificates=wanted_certificates(self.cluster, self.home),
        )
        return plan_etcd_deploy(self.cluster, facts, request)

    def last_checks(self, plan: Plan) -> list[Verdict]:
        """That it is the plan which was asked for, and that its releases can be had."""
        verdicts = []
        if self.wanted.plan_id not in ("", plan.digest):
            verdicts.append(
                failed(
                    "PlanDiffers",
                    f"the plan is {plan.digest} now, not {self.wanted.plan_id} that was asked for",
                    next_step=f"look at `quoracy plan etcd-deploy {plan.cluster}` again",
                )
            )
        if self.seen is not None and not self.dry_run:
            verdicts += self._check_releases(plan, self.seen.facts, download=True)
        return verdicts

    def _check_releases(self, plan: Plan, facts: EtcdFacts, *, download: bool) -> list[Verdict]:
        """Before the cluster is touched, not when its first host asks for the archive."""
        if plan.refused:
            return []
        wanted = {
            (step.version, ARCHITECTURES[facts.heard[step.host].host.architecture])
            for _, step in plan.steps
            if isinstance(step, InstallRelease)
        }
        source = release_source(self.cluster.release, self.home)
        return check_releases(source, wanted, download=download)


def known_cluster(db: Database, name: str, version: str | None) -> tuple[EtcdCluster, str | None]:
    """The recorded spec, at another version when one is given, and the pinned cluster ID.

    Raises:
        UsageError: The cluster is unknown, or its spec does not fit the version.
    """
    row = get_cluster(db, name)
    try:
        cluster = recorded_cluster(row.spec)
        return (cluster.at_version(version) if version else cluster), row.cluster_id
    except ValidationError as error:
        said = "; ".join(
            ": ".join(filter(None, (".".join(map(str, place_of(detail))), str(detail["msg"]))))
            for detail in error.errors()
        )
        at = f" with etcd {version}" if version else ""
        other = "give a version like 3.5.30, or " if version else ""
        raise UsageError(
            f"the recorded spec of {name} cannot be used{at}: {said}",
            next_step=f"{other}correct its cluster.yaml and `quoracy cluster apply -f cluster.yaml` it again",
        ) from None


def require_known(wanted: Wanted) -> None:
    """Say at once when the cluster is unknown or its spec does not fit, before a server is asked.

    Raises:
        UsageError: One of both.
    """
    with open_controller(None) as (_, db):
        known_cluster(db, wanted.cluster, wanted.version)


@contextmanager
def open_etcd_deploy(wanted: Wanted, home: Home | None = None) -> Iterator[EtcdDeploy]:
    """Load the cluster's spec and hold its connections while the block runs.

    Raises:
        UsageError: The cluster is unknown, or its spec cannot be used with the version.
    """
    with open_controller(home) as (at_home, db):
        cluster, pinned_cluster_id = known_cluster(db, wanted.cluster, wanted.version)
        request = DeployRequest(
            pinned_cluster_id=pinned_cluster_id,
            token=f"{cluster.name}-{secrets.token_hex(8)}",
            certificates=wanted_certificates(cluster, at_home),
            action=wanted.action,
            option=wanted.option,
            allow_downtime=wanted.allow_downtime,
            allow_bad_version=wanted.allow_bad_version,
        )
        with HostPool(ssh_targets(cluster, default_known_hosts=str(at_home.known_hosts))) as pool:
            yield EtcdDeploy(
                subject=cluster.name,
                settle_s=settle_seconds(cluster),
                cluster=cluster,
                pool=pool,
                home=at_home,
                db=db,
                dry_run=wanted.dry_run or wanted.option is DeployOption.NO_UPGRADE,
                allow_downtime=wanted.allow_downtime,
                wanted=wanted,
                request=request,
            )
