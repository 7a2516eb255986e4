"""A deploy in a process of its own, which may kill itself at a step; run by the scenarios, no test."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading

from quoracy.errors import QuoracyError
from quoracy.etcd.deploy import Wanted, open_etcd_deploy
from quoracy.etcd.site import EtcdSite
from quoracy.operation.lease import Asked
from quoracy.operation.step import Step


def die() -> None:
    """End at once, as a power cut would."""
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Deploy and say how it ended, or die `before`, `during` or `after` the given step of a host."""
    given = json.load(sys.stdin)
    with open_etcd_deploy(Wanted(given["cluster"])) as deploy:
        carry_out = deploy.apply_step

        def apply_step(step: Step, site: EtcdSite) -> str:
            sys.stdout.write(f"{step.host} {step.name}\n")
            sys.stdout.flush()
            chosen = (step.name, step.host) == (given.get("step"), given.get("host"))
            if chosen and given["when"] == "before":
                die()
            if chosen and given["when"] == "during":
                threading.Timer(0.02, die).start()
            told = carry_out(step, site)
            if chosen:
                die()
            return told

        deploy.apply_step = apply_step
        try:
            report = deploy.run(deploy.plan(), Asked(by="tester", origin="terminal on scenarios"))
        except QuoracyError as error:
            sys.stdout.write(f"{type(error).__name__} {error.what!r} at {error.where}\n")
        else:
            sys.stdout.write(f"{report.outcome}\n")


if __name__ == "__main__":
    main()
