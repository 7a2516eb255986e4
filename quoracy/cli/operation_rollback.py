"""`quoracy operation-rollback`: put back what the last operation has left half done."""

from __future__ import annotations

from quoracy.cli.options import (
    AllowDowntime,
    AsJson,
    ClusterName,
    DryRun,
    Submit,
    WithoutPrefect,
)


def operation_rollback(
    cluster: ClusterName,
    dry_run: DryRun = False,
    allow_downtime: AllowDowntime = False,
    submit: Submit = False,
    without_prefect: WithoutPrefect = False,
    as_json: AsJson = False,
) -> None:
    """Put back what an operation has left half done.

    That is the member it was working on when it was killed or failed; of a create, all hosts. What
    it had finished stays. Exit code 0 done or nothing to do, 1 failed, 2 usage, 3 refused, 4
    changes pending.
    """
    from quoracy.cli.run_operation import Way, run_operation
    from quoracy.etcd.deploy import Wanted, require_known
    from quoracy.etcd.rollback import open_etcd_rollback

    parameters = {"cluster": cluster, "dry_run": dry_run, "allow_downtime": allow_downtime}
    raise run_operation(
        "operation-rollback",
        parameters,
        Way(submit, without_prefect, as_json),
        lambda home: open_etcd_rollback(
            cluster, home, dry_run=dry_run, allow_downtime=allow_downtime
        ),
        lambda: require_known(Wanted(cluster)),
    )
