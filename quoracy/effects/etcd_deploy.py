"""etcd-deploy put together: spec from the database, facts from the hosts, plan, and the work of the loop."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from pydantic import ValidationError

from quoracy.checks.quorum import check_can_stop
from quoracy.checks.verdict import require
from quoracy.commands.guard import SETTLE_SECONDS, Guard, released, settled
from quoracy.db.clusters import get_cluster
from quoracy.db.holder import this_process
from quoracy.db.lease import get_lease, is_live
from quoracy.db.session import Database, open_database
from quoracy.effects.certificates import wanted_certificates
from quoracy.effects.etcd_steps import apply_etcd_step
from quoracy.effects.gather import gather_etcd
from quoracy.effects.site import EtcdSite
from quoracy.errors import QuoracyError, UsageError
from quoracy.facts.etcd_cluster import EtcdFacts
from quoracy.home import Home, load_home
from quoracy.operate.run import Asked, Leased, Report, apply_plan, leased, record_without_acting
from quoracy.plan.etcd_deploy import Action, DeployOption, DeployRequest, plan_etcd_deploy
from quoracy.plan.etcd_steps import AwaitMember, HaltMember
from quoracy.plan.plan import Group, Plan, Step
from quoracy.remote.pool import HostPool
from quoracy.secrets import DEFAULT, Resolver
from quoracy.spec.etcd import EtcdCluster, ssh_targets

# Entering a group can block while the Prefect API is away; what was seen before it is stale then.
FRESH = timedelta(seconds=1)

ApplyStep = Callable[[Step, EtcdSite], str]
AskHosts = Callable[[EtcdCluster, HostPool], EtcdFacts]
EnterGroup = Callable[[Group, Callable[[], None]], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The parameters of etcd-deploy, as a person gives them."""

    cluster: str
    action: Action = Action.DEPLOY
    version: str | None = None
    option: DeployOption | None = None
    dry_run: bool = False
    allow_downtime: bool = False
    allow_bad_version: bool = False


def _enter_plainly(group: Group, body: Callable[[], None]) -> None:  # noqa: ARG001
    body()


@dataclass(slots=True)
class EtcdDeploy:
    """One etcd-deploy under way: what it wants, what it works with, and who carries its steps.

    Attributes:
        ask_hosts: Gathers the facts; the flow puts a task here.
        apply_step: Carries out a step; the flow puts a task here.
        enter_group: Runs a group; the flow puts a subflow here.
        facts: What the last look at the hosts found; None once something was changed after it.
    """

    wanted: Wanted
    cluster: EtcdCluster
    pool: HostPool
    home: Home
    db: Database
    request: DeployRequest
    ask_hosts: AskHosts = gather_etcd
    apply_step: ApplyStep = apply_etcd_step
    enter_group: EnterGroup = _enter_plainly
    resolvers: Mapping[str, Resolver] = field(default_factory=lambda: DEFAULT)
    facts: EtcdFacts | None = None

    def gather(self) -> EtcdFacts:
        """Ask all hosts, one round trip each."""
        self.facts = self.ask_hosts(self.cluster, self.pool)
        return self.facts

    def plan(self) -> Plan:
        """Look and decide, with the entry validations of the action."""
        self._let_the_dead_finish()
        return plan_etcd_deploy(self.cluster, self.gather(), self.request)

    def run(self, plan: Plan, asked: Asked) -> Report:
        """Apply the plan, or record why nothing is applied.

        Raises:
            Refused: A check stands against the plan.
        """
        if plan.refused:
            record_without_acting(self.db, plan, asked, "refused")
            require(plan.verdicts)
        if not plan.groups:
            return record_without_acting(self.db, plan, asked, "nothing_to_do")
        if self.wanted.dry_run or self.request.option is DeployOption.NO_UPGRADE:
            return record_without_acting(self.db, plan, asked, "dry_run")
        with leased(self.db, plan, asked, least_fence=self._highest_fence()) as operation:
            work = _EtcdWork(self, operation)
            try:
                work.announce()
                return apply_plan(self.db, plan, work, operation)
            finally:
                work.let_go()

    def _let_the_dead_finish(self) -> None:
        """Wait for what a dead process has left running on the hosts: facts seen meanwhile go stale."""
        lease = get_lease(self.db, self.cluster.name)
        if lease is not None and not is_live(lease, this_process(), self.db.now()):
            script, limit = settled(self.cluster.name), SETTLE_SECONDS + 10.0
            self.pool.each(
                lambda host: host.run(script, what="let it settle", timeout=limit, check=False)
            )

    def _highest_fence(self) -> int:
        heard = self.facts.heard.values() if self.facts else ()
        return max((f.host.guard.fence for f in heard if f.host.guard), default=0)


class _EtcdWork:
    """The loop's view of an etcd-deploy that holds the lease."""

    def __init__(self, deploy: EtcdDeploy, operation: Leased) -> None:
        self._deploy = deploy
        deploy.facts = None  # whoever held the lease before may have acted since
        # The validations of the action hold at the entry; the loop only asks what is left.
        self._request = replace(deploy.request, action=Action.DEPLOY, option=None)
        self._site = EtcdSite(
            cluster=deploy.cluster,
            pool=deploy.pool,
            home=deploy.home,
            db=deploy.db,
            guard=Guard(
                deploy.cluster.name, operation.holder, operation.fence, operation.successor_of
            ),
            stamp=operation.operation_id,
            resolvers=deploy.resolvers,
            look=self._look,
        )

    def look(self) -> Plan:
        deploy = self._deploy
        # A create makes the CA and pins the ID on its way.
        request = replace(
            self._request,
            pinned_cluster_id=get_cluster(deploy.db, deploy.cluster.name).cluster_id,
            certificates=wanted_certificates(deploy.cluster, deploy.home),
        )
        return plan_etcd_deploy(deploy.cluster, self._fresh_facts(), request)

    def gate(self, group: Group) -> None:
        """Check quorum right before a voter is stopped, on facts that are at most a second old."""
        if group.stops_voter:
            facts, allowed = self._fresh_facts(), self._request.allow_downtime
            require([check_can_stop(facts, group.member, allow_downtime=allowed)])

    def apply(self, step: Step) -> str:
        # A member that is waited for is not changed; what the waiting saw last stays true.
        if step.name != AwaitMember.name:
            self._deploy.facts = None
        if step.name == HaltMember.name:
            facts = self._look()
            # When it serves after all, taking it down is subject to the gate as any other stop.
            if step.host in facts.healthy:
                require([check_can_stop(facts, step.host)])
            self._deploy.facts = None
        return self._deploy.apply_step(step, self._site)

    def _look(self) -> EtcdFacts:
        self._deploy.facts = gather_etcd(self._deploy.cluster, self._deploy.pool)
        return self._deploy.facts

    def _fresh_facts(self) -> EtcdFacts:
        facts = self._deploy.facts
        if facts is None or datetime.now(UTC) - facts.asked_at > FRESH:
            return self._deploy.gather()
        return facts

    def announce(self) -> None:
        """Tell every host of the new holder before anything is looked at or changed.

        A holder before us may only be paused: from here on no host obeys it any more.

        Raises:
            QuoracyError: A host refuses, or cannot be told.
        """
        answers = self._deploy.pool.each(
            lambda host: self._site.change(host.name, ":\n", what="announce the operation")
        )
        for answer in answers.values():
            if isinstance(answer, QuoracyError):
                raise answer

    def let_go(self) -> None:
        """Tell the hosts that the holder has ended; one that cannot be told waits for a minute."""
        script = released(self._site.guard)
        self._deploy.pool.each(lambda host: host.run(script, what="let go", check=False))

    def enter(self, group: Group, body: Callable[[], None]) -> None:
        self._deploy.enter_group(group, body)


def known_cluster(db: Database, name: str, version: str | None) -> tuple[EtcdCluster, str | None]:
    """The recorded spec, at another version when one is given, and the pinned cluster ID.

    Raises:
        UsageError: The cluster is unknown, or its spec does not fit the version.
    """
    row = get_cluster(db, name)
    try:
        cluster = EtcdCluster.model_validate_json(row.spec)
        return (cluster.at_version(version) if version else cluster), row.cluster_id
    except ValidationError as error:
        said = "; ".join(str(detail["msg"]) for detail in error.errors())
        at = f" with etcd {version}" if version else ""
        raise UsageError(
            f"the recorded spec of {name} cannot be used{at}: {said}",
            next_step="give a version like 3.5.30, or correct the spec and apply it again",
        ) from None


@contextmanager
def open_etcd_deploy(wanted: Wanted, home: Home | None = None) -> Iterator[EtcdDeploy]:
    """Load the cluster's spec and hold its connections while the block runs.

    Raises:
        UsageError: The cluster is unknown, or its spec cannot be used with the version.
    """
    home = home or load_home()
    db = open_database(home.database_url)
    try:
        cluster, pinned_cluster_id = known_cluster(db, wanted.cluster, wanted.version)
        request = DeployRequest(
            pinned_cluster_id=pinned_cluster_id,
            token=f"{cluster.name}-{secrets.token_hex(8)}",
            certificates=wanted_certificates(cluster, home),
            action=wanted.action,
            option=wanted.option,
            allow_downtime=wanted.allow_downtime,
            allow_bad_version=wanted.allow_bad_version,
        )
        targets = ssh_targets(cluster, default_known_hosts=str(home.known_hosts))
        with HostPool(targets) as pool:
            yield EtcdDeploy(wanted, cluster, pool, home, db, request)
    finally:
        db.close()
