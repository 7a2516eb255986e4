"""The other sides of `make bench-redeploy`: rsync as it is typed, rsync at its best, Ansistrano.

Each brings the same directory, node_modules included, and restarts a service of its own. None of them
looks whether the service is well.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench.ansible_side import HERE, VENV
from bench.redeploy_hosts import Reach
from bench.redeploy_trees import Case, Tree

ROLE = "QUORACY_ANSISTRANO_ROLE"
KEEP_RELEASES = 3
_ROOT = "root"


@dataclass(slots=True)
class Rsync:
    """`rsync -a --delete DIRECTORY/ host:DIRECTORY/ && ssh host systemctl restart UNIT`.

    Args:
        control: Where ControlMaster keeps its socket; None makes both connections anew, as typed.
    """

    unit: str
    directory: str
    control: Path | None

    def deliver(self, tree: Tree, case: Case, reach: Reach) -> float:
        """Bring the tree and restart; wall clock in seconds.

        Raises:
            RuntimeError: A command failed.
        """
        options = reach.options(*self._kept())
        ssh = ("ssh", *options, "-i", str(reach.key_file), "-p", str(reach.port))
        place = f"{_ROOT}@{reach.address}"
        began = time.monotonic()
        if case is Case.LOCK:
            tree.install()
        source, target = f"{tree.directory}/", f"{place}:{self.directory}/"
        _run(("rsync", "-a", "--delete", "-e", shlex.join(ssh), source, target))
        _run((*ssh, place, f"systemctl restart {self.unit}"))
        return time.monotonic() - began

    def close(self, reach: Reach) -> None:
        """End the connection that was kept."""
        if self.control is not None:
            end = ("ssh", *reach.options(*self._kept()), "-O", "exit", "-p", str(reach.port))
            subprocess.run((*end, f"{_ROOT}@{reach.address}"), capture_output=True, check=False)

    def _kept(self) -> tuple[str, ...]:
        if self.control is None:
            return ()
        return ("ControlMaster=auto", "ControlPersist=60s", f"ControlPath={self.control}/%h-%p")


@dataclass(slots=True)
class Ansistrano:
    """Ansistrano's deployment by rsync: its steps as a playbook of ours, or a copy of the role.

    Args:
        work: Directory for inventory and connections.
    """

    unit: str
    directory: str
    work: Path
    role: str = field(default_factory=lambda: os.environ.get(ROLE, ""))

    @property
    def name(self) -> str:
        """What was measured, for the report."""
        if self.role:
            return f"the role Ansistrano in {self.role}"
        return "Ansistrano's steps, as a playbook of ours"

    def deliver(self, tree: Tree, case: Case, reach: Reach) -> float:
        """Run the playbook; wall clock in seconds.

        Raises:
            RuntimeError: It failed.
        """
        inventory = {"services": {"hosts": {reach.host: {}}, "vars": self._variables(tree, reach)}}
        file = self.work / "ansistrano.json"
        file.write_text(json.dumps(inventory))
        environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(HERE / "ansible/ansible.cfg"),
            "ANSIBLE_HOME": str(self.work / "ansible"),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
        }
        playbook = HERE / "ansistrano" / ("role.yaml" if self.role else "deploy.yaml")
        command = (str(VENV / "bin/ansible-playbook"), f"--inventory={file}", str(playbook))
        began = time.monotonic()
        if case is Case.LOCK:
            tree.install()
        _run((*command, f"--extra-vars=ansistrano_role={self.role}"), environment)
        return time.monotonic() - began

    def close(self, reach: Reach) -> None:
        """End the connection that ControlPersist keeps."""
        end = ("ssh", *reach.options(self._control()), "-O", "exit", "-p", str(reach.port))
        subprocess.run((*end, f"{_ROOT}@{reach.address}"), capture_output=True, check=False)

    def _control(self) -> str:
        return f"ControlPath={self.work}/ansible-%h-%p"

    def _variables(self, tree: Tree, reach: Reach) -> dict[str, object]:
        kept = ("ControlMaster=auto", "ControlPersist=60s", self._control())
        return {
            "ansible_host": reach.address,
            "ansible_port": reach.port,
            "ansible_user": _ROOT,
            "ansible_ssh_private_key_file": str(reach.key_file),
            "ansible_ssh_common_args": shlex.join(reach.options(*kept)),
            "ansistrano_deploy_from": f"{tree.directory}/",
            "ansistrano_deploy_to": self.directory,
            "ansistrano_deploy_via": "rsync",
            "ansistrano_current_via": "symlink",
            "ansistrano_keep_releases": KEEP_RELEASES,
            "ansistrano_allow_anonymous_stats": False,
            "ansistrano_rsync_use_ssh_args": True,
            "ansistrano_shared_paths": [],
            "ansistrano_shared_files": [],
            "ansistrano_after_symlink_tasks_file": str(HERE / "ansistrano/restart.yaml"),
            "unit": self.unit,
        }


def _run(command: tuple[str, ...], environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed ({done.returncode}):\n{done.stdout[-4000:]}")
