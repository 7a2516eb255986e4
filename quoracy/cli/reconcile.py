"""`quoracy reconcile`: settle what processes that are gone have left in the database."""

from __future__ import annotations

import dataclasses

from quoracy.cli.options import AsJson
from quoracy.cli.screen import say


def reconcile(as_json: AsJson = False) -> None:
    """Settle what dead processes have left behind.

    Ends their operations as failed and frees their leases. Touches no host and no live operation,
    and needs no server. The deployment of the same name does it every five minutes, and ends the
    Prefect runs of dead processes as well.
    """
    from quoracy.cli.show import show_json
    from quoracy.db.session import open_database
    from quoracy.home import load_home
    from quoracy.operation.reconcile import reconcile as settle_database

    db = open_database(load_home().database_url)
    try:
        settled = settle_database(db)
    finally:
        db.close()
    if as_json:
        show_json([dataclasses.asdict(one) for one in settled])
        return
    for one in settled:
        freed = ", its lease is freed" if one.lease_freed else ""
        say(f"{one.cluster}: {one.title}: ended as failed{freed}\n  {one.said}")
    if not settled:
        say("Nothing was left behind.")
