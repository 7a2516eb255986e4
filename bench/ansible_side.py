"""Ansible's half of the comparison: its environment, its Python on the hosts, its inventory, its runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from lab.debian import download, find_mirror
from lab.lab import Lab
from lab.machine import run
from quoracy.etcd.spec import EtcdCluster
from quoracy.etcd.templates import client_url, render_generation

HERE = Path(__file__).parent
VENV = HERE.parent / ".bench-venv"
#: What Debian's python3 is made of, as far as the hosts' base does not have it.
_PYTHON = ("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "libffi8")


def install_ansible() -> None:
    """Make the environment of `bench/requirements.lock`, apart from the project's own."""
    uv = Path(sys.executable).with_name("uv")
    lock = HERE / "requirements.lock"
    stamp = VENV / ".installed"
    if stamp.exists() and stamp.read_bytes() == lock.read_bytes():
        return
    run((str(uv), "venv", "--quiet", "--clear", "--python", sys.executable, str(VENV)), what="venv")
    target = ("--python", str(VENV / "bin/python"))
    # Without byte code the first run would pay for compiling Ansible.
    how = ("--quiet", "--compile-bytecode", "--require-hashes", "--requirement", str(lock))
    run(
        (str(uv), "pip", "install", *target, *how),
        what="installing Ansible into .bench-venv",
        timeout=600,
    )
    shutil.copy(lock, stamp)


def install_python(lab: Lab) -> None:
    """Give the hosts the Python that Ansible's modules need; Quoracy needs none."""
    with tempfile.TemporaryDirectory(prefix="quoracy-bench-") as workspace:
        packages = download(find_mirror(), "bookworm", _PYTHON, Path(workspace))
        for host in lab.hosts:
            for package in packages:
                files = run(("dpkg-deb", "--fsys-tarfile", str(package)), what="reading a package")
                # /lib is a link on the hosts, and a directory in older packages.
                unpack = ("tar", "-x", "--keep-directory-symlink", "-C", str(host.root))
                run(unpack, what=f"installing Python on {host.name}", stdin=files)
            link = host.root / "usr/bin/python3"
            link.unlink(missing_ok=True)
            link.symlink_to("python3.11")


@dataclass(frozen=True, slots=True)
class Ansible:
    """An inventory and the files of a cluster, and ansible-playbook on them.

    Args:
        directory: A directory of its own, for inventory, files and connections.
    """

    lab: Lab
    directory: Path

    def want(self, cluster: EtcdCluster) -> None:
        """Write what the hosts should hold: the same files that Quoracy would write."""
        hosts = {host.name: {"own_endpoint": client_url(cluster, host)} for host in cluster.hosts}
        for host in cluster.hosts:
            files = self.directory / "files" / host.name
            files.mkdir(parents=True, exist_ok=True)
            for name, content in render_generation(cluster, host).files.items():
                (files / name).write_text(content)
        for host in cluster.hosts:
            hosts[host.name]["ansible_host"] = host.address
        inventory = {"members": {"hosts": hosts, "vars": self._variables(cluster)}}
        (self.directory / "inventory.json").write_text(json.dumps(inventory))

    def play(self) -> tuple[float, dict[str, int]]:
        """Run the playbook; its wall clock in seconds, and the number of changes by host."""
        environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(HERE / "ansible/ansible.cfg"),
            "ANSIBLE_HOME": str(self.directory / "home"),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
        }
        command = (
            str(VENV / "bin/ansible-playbook"),
            f"--inventory={self.directory / 'inventory.json'}",
            str(HERE / "ansible/deploy.yaml"),
        )
        began = time.monotonic()
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        seconds = time.monotonic() - began
        if done.returncode:
            raise RuntimeError(f"ansible-playbook failed:\n{done.stdout[-4000:]}{done.stderr}")
        return seconds, _changes(done.stdout)

    def close(self) -> None:
        """End the connections that ControlPersist keeps."""
        for host in self.lab.hosts:
            socket = f"ControlPath={self.directory}/ssh-{host.address}"
            command = ("ssh", "-F", "none", "-O", "exit", "-o", socket, f"root@{host.address}")
            subprocess.run(command, capture_output=True, check=False)

    def _variables(self, cluster: EtcdCluster) -> dict[str, str | int]:
        tls = f"{cluster.config_dir}/tls"
        certificates = f"--cacert={tls}/ca.pem --cert={tls}/client.pem --key={tls}/client.key"
        return {
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self.lab.key_file),
            # `%h` is the address: one kept connection per host.
            "ansible_ssh_common_args": (
                f"-F none -o UserKnownHostsFile={self.lab.known_hosts} -o IdentitiesOnly=yes"
                f" -o ControlMaster=auto -o ControlPersist=60s -o ControlPath={self.directory}/ssh-%h"
            ),
            "files": str(self.directory / "files"),
            "unit": cluster.unit,
            "runtime": f"etcd-{cluster.name}",
            "config_dir": cluster.config_dir,
            "data_dir": cluster.data_dir,
            "release_dir": cluster.release_dir(cluster.version),
            "version": cluster.version,
            "etcdctl": f"{cluster.config_dir}/current/release/etcdctl {certificates}",
            "all_endpoints": ",".join(client_url(cluster, host) for host in cluster.hosts),
            "window_ms": 2 * cluster.etcd.election_timeout_ms,
        }


def _changes(output: str) -> dict[str, int]:
    """The play recap: `host : ok=11 changed=2 …`."""
    recap = output.partition("PLAY RECAP")[2].splitlines()[1:]
    return {
        line.split(":")[0].strip(): int(line.split("changed=")[1].split()[0])
        for line in recap
        if "changed=" in line
    }
