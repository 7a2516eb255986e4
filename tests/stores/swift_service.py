"""A real S3 service on loopback: OpenStack Swift with its s3api, in a folder of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from quoracy.stores.s3 import S3Store

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

ACCESS_KEY = "test:tester"
SECRET_KEY = "testing"
REGION = "us-east-1"
PAGE_KEYS = 5  # so that a handful of objects needs several pages

# Swift reads /etc/swift/swift.conf while it is imported, unless told otherwise before: the programs
# of the package cannot be told, so they are started as the package's own scripts do, after telling.
SERVE = """
import sys
from swift.common.utils import set_swift_dir
set_swift_dir(sys.argv[1])
from swift.common.wsgi import run_wsgi
sys.exit(run_wsgi(sys.argv[2], sys.argv[3], verbose=True))
"""

SWIFT_CONF = """
[swift-hash]
swift_hash_path_prefix = quoracy
swift_hash_path_suffix = tests
[storage-policy:0]
name = only
default = yes
"""

STORAGE_CONF = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
mount_check = false
devices = {devices}
user = root
swift_dir = {folder}
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""

PROXY_CONF = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = root
swift_dir = {folder}
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck cache bulk s3api tempauth slo dlo symlink versioned_writes proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:healthcheck]
use = egg:swift#healthcheck
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{memcached}
[filter:bulk]
use = egg:swift#bulk
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
max_bucket_listing = {page}
[filter:tempauth]
use = egg:swift#tempauth
user_{user} = {secret_key} .admin
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
[filter:symlink]
use = egg:swift#symlink
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_object_versioning = true
"""


@dataclass(frozen=True, slots=True)
class S3Service:
    """The endpoint of the running service and the folder its servers write their logs to."""

    endpoint: str
    folder: Path
    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY

    def store(self, bucket: str, prefix: str = "", secret_key: str = "") -> S3Store:
        secret_key = secret_key or self.secret_key
        return S3Store(self.endpoint, bucket, prefix, REGION, self.access_key, secret_key)

    def client(self) -> S3Client:
        """What is in a bucket, seen by other eyes than the store's."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(s3={"addressing_style": "path"}),
        )


@contextlib.contextmanager
def swift(
    folder: Path, access_key: str = ACCESS_KEY, secret_key: str = SECRET_KEY
) -> Iterator[S3Service]:
    """Run memcached, the three storage servers and the proxy; end them all."""
    kinds = ("account", "container", "object")
    ports = dict(zip((*kinds, "proxy", "memcached"), _free_ports(5), strict=True))
    (folder / "swift.conf").write_text(SWIFT_CONF)
    (folder / "devices" / "d1").mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        memcached = ("memcached", "-u", "root", "-l", "127.0.0.1", "-p", str(ports["memcached"]))
        stack.enter_context(_running(memcached, folder / "memcached.log"))
        for kind in kinds:
            _build_ring(folder, kind, ports[kind])
            conf = STORAGE_CONF.format(
                kind=kind, port=ports[kind], folder=folder, devices=folder / "devices"
            )
            stack.enter_context(_serving(folder, kind, conf))
        conf = PROXY_CONF.format(
            port=ports["proxy"],
            folder=folder,
            memcached=ports["memcached"],
            page=PAGE_KEYS,
            user=access_key.replace(":", "_"),
            secret_key=secret_key,
        )
        proxy = stack.enter_context(_serving(folder, "proxy", conf))
        for kind in kinds:
            _wait_for_port(ports[kind], folder / f"{kind}.log")
        endpoint = f"http://127.0.0.1:{ports['proxy']}"
        _wait_until_healthy(endpoint, proxy, folder / "proxy.log")
        yield S3Service(endpoint, folder, access_key, secret_key)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _build_ring(folder: Path, kind: str, port: int) -> None:
    builder = str(folder / f"{kind}.builder")
    for words in (
        ("create", "4", "1", "1"),
        ("add", f"r1z1-127.0.0.1:{port}/d1", "1"),
        ("rebalance",),
    ):
        subprocess.run(
            ("swift-ring-builder", builder, *words), check=True, stdout=subprocess.DEVNULL
        )


@contextlib.contextmanager
def _serving(folder: Path, kind: str, conf: str) -> Iterator[subprocess.Popen[bytes]]:
    path = folder / f"{kind}-server.conf"
    path.write_text(conf)
    argv = ("/usr/bin/python3", "-c", SERVE, str(folder), str(path), f"{kind}-server")
    with _running(argv, folder / f"{kind}.log") as process:
        yield process


@contextlib.contextmanager
def _running(argv: tuple[str, ...], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_for_port(port: int, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    pytest.fail(f"no server on port {port}:\n{log.read_text(errors='replace')}")


def _wait_until_healthy(endpoint: str, proxy: subprocess.Popen[bytes], log: Path) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and proxy.poll() is None:
        with (
            contextlib.suppress(urllib.error.URLError, ConnectionError),
            opener.open(f"{endpoint}/healthcheck", timeout=5) as answer,
        ):
            if answer.read() == b"OK":
                return
        time.sleep(0.1)
    pytest.fail(f"the S3 service did not start:\n{log.read_text(errors='replace')}")
