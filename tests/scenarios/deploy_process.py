"""A deploy in a process of its own that kills itself at a step; run by the scenarios, not a test."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading

from quoracy.effects.etcd_deploy import Wanted, open_etcd_deploy
from quoracy.effects.site import EtcdSite
from quoracy.operate.run import Asked
from quoracy.plan.plan import Step


def die() -> None:
    """End at once, as a power cut would."""
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Deploy, and die `before`, `during` or `after` the given step of the given host."""
    given = json.load(sys.stdin)
    with open_etcd_deploy(Wanted(given["cluster"])) as deploy:
        carry_out = deploy.apply_step

        def apply_step(step: Step, site: EtcdSite) -> str:
            sys.stdout.write(f"{step.host} {step.name}\n")
            sys.stdout.flush()
            chosen = (step.name, step.host) == (given["step"], given["host"])
            if chosen and given["when"] == "before":
                die()
            if chosen and given["when"] == "during":
                threading.Timer(0.02, die).start()
            told = carry_out(step, site)
            if chosen:
                die()
            return told

        deploy.apply_step = apply_step
        deploy.run(deploy.plan(), Asked(by="tester", origin="terminal on scenarios"))


if __name__ == "__main__":
    main()
