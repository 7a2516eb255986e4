"""reconcile: settle what processes that are gone have left behind: journal, leases, Prefect runs.

Changes: rows of the database and states of runs; asks and touches no host.
Refuses: nothing; what lives is left alone.
If it stops half-way: it runs again within five minutes.
"""

from __future__ import annotations

import pkgutil
from typing import Any

from prefect import flow
from prefect.client.schemas import State
from prefect.logging import get_run_logger
from prefect.states import Completed

import flows
from quoracy.db.session import open_database
from quoracy.home import load_home
from quoracy.operation.reconcile import reconcile as settle_database
from quoracy.redact import mask_secrets
from tasks.reconcile import settle_runs
from tasks.run import LOGGERS


@flow(name="reconcile", persist_result=False, retries=0)
def reconcile() -> State[Any]:
    """End operations, leases and runs of processes that are gone; touches no host."""
    mask_secrets(*LOGGERS)
    log = get_run_logger()
    db = open_database(load_home().database_url)
    try:
        settled = settle_database(db)
        for one in settled:
            log.warning("%s: %s: %s", one.cluster, one.title, one.said)
        dead = [one.flow_run_id for one in settled if one.flow_run_id]
        runs = settle_runs(db, _operations(), dead=dead)
        for run in runs:
            log.warning("run %s: %s", run.name, run.state)
    finally:
        db.close()
    if not settled and not runs:
        return Completed(name="Nothing to do", message="nothing was left behind")
    message = f"settled: {len(settled)} in the journal, {len(runs)} at the server"
    return Completed(name="Done", message=message)


def _operations() -> list[str]:
    """Names of all flows here: each is the name of its file."""
    return [module.name.replace("_", "-") for module in pkgutil.iter_modules(flows.__path__)]
