"""Print how long one no-op run of the flow takes, in a process that has imported everything.

python -m bench.noop_flow CLUSTER
"""

from __future__ import annotations

import importlib
import sys
import time

from quoracy.home import load_home
from quoracy.prefect.submit import run_here, use_server


def main() -> None:
    """Run the flow once, as `quoracy etcd-deploy` does, and print seconds and ending."""
    use_server(load_home())
    importlib.import_module("flows.etcd_deploy")
    began = time.monotonic()
    ended = run_here("etcd-deploy", {"cluster": sys.argv[1]})
    print(time.monotonic() - began, ended.state)


if __name__ == "__main__":
    main()
