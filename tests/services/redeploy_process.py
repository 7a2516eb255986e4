"""A redeployment in a process of its own, which may kill itself at a step; run by the tests, no test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from quoracy.errors import QuoracyError
from quoracy.home import Home
from quoracy.operation.step import Step
from quoracy.services.redeploy import Wanted, open_service_redeploy
from quoracy.services.site import ServiceSite
from tests.services.shop import ASKED, Shop

ROOT = Path(__file__).parents[2]


def begin(
    shop: Shop, name: str, *, home: Home | None = None, **given: Any
) -> subprocess.Popen[str]:
    """Begin to redeploy a service; `step`, `host`, `when` and `delay_s` say where the process dies."""
    process = subprocess.Popen(
        (sys.executable, "-m", "tests.services.redeploy_process"),
        env={
            **os.environ,  # uv is told there where packages come from
            "QUORACY_HOME": str((home or shop.home).path),
            "PYTHONPATH": str(ROOT),
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps({"service": name, "project": str(shop.project), **given}))
    process.stdin.close()
    process.stdin = None
    return process


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code, and all that the process has said."""
    try:
        said, _ = process.communicate(timeout=200)
    finally:
        process.kill()
    return process.returncode, said


def killed(shop: Shop, name: str, step: str, number: int, when: str, delay_s: float = 0.1) -> str:
    """Redeploy until the process is killed at a step of a host; what it has said."""
    host = shop.lab.hosts[number - 1].name
    code, said = ended(begin(shop, name, step=step, host=host, when=when, delay_s=delay_s))
    assert code == -signal.SIGKILL, (code, said)
    assert f"{host} {step}" in said.splitlines()
    return said


def die() -> None:
    """End at once, as a power cut would."""
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Redeploy and say how it ended, or die `before`, `during` or `after` the given step of a host."""
    given = json.load(sys.stdin)
    with open_service_redeploy(Wanted(given["service"], given["project"])) as redeploy:
        carry_out = redeploy.apply_step

        def apply_step(step: Step, site: ServiceSite) -> str:
            sys.stdout.write(f"{step.host} {step.name}\n")
            sys.stdout.flush()
            chosen = (step.name, step.host) == (given.get("step"), given.get("host"))
            if chosen and given["when"] == "before":
                die()
            if chosen and given["when"] == "during":
                threading.Timer(given["delay_s"], die).start()
            told = carry_out(step, site)
            if chosen:
                die()
            return told

        redeploy.apply_step = apply_step
        try:
            report = redeploy.run(redeploy.plan(), ASKED)
        except QuoracyError as error:
            sys.stdout.write(f"{type(error).__name__} {error.what!r} at {error.where}\n")
        else:
            sys.stdout.write(f"{report.outcome}\n")


if __name__ == "__main__":
    main()
