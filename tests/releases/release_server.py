"""Release archives made for tests, and a mirror on loopback that gives them out or fails to."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import ssl
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VERSION = "3.5.16"
TOP = f"etcd-v{VERSION}-linux-amd64"
NAME = f"{TOP}.tar.gz"
FILES = ("etcd", "etcdctl", "etcdutl", "README.md")


def entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.mode = kind, target, 0o755
    made.size = len(name) if kind == tarfile.REGTYPE else 0
    return made


def pack(*entries: tarfile.TarInfo) -> bytes:
    """Return a tar.gz; each file holds its own name."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        for each in entries:
            archive.addfile(each, io.BytesIO(each.name.encode()[: each.size]))
    return gzip.compress(plain.getvalue(), mtime=0)


def release(*files: str, top: str = TOP) -> bytes:
    return pack(entry(top, tarfile.DIRTYPE), *(entry(f"{top}/{name}") for name in files or FILES))


def checksums(*contents: tuple[str, bytes]) -> bytes:
    lines = (f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in contents)
    return "".join(lines).encode()


@dataclass
class Mirror:
    """What the server has; tests change it while it runs.

    `cut` promises the whole file and sends half; `stalled` sends half and waits for `go_on`.
    """

    base: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    status: int = 200
    cut: bool = False
    stalled: bool = False
    half_sent: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    asked: list[str] = field(default_factory=list)

    def publish(self, archive: bytes, *, listed: bytes | None = None) -> None:
        self.files[f"/etcd/v{VERSION}/{NAME}"] = archive
        self.files[f"/etcd/v{VERSION}/SHA256SUMS"] = checksums((NAME, listed or archive))


@contextlib.contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[Mirror]:
    """Run a mirror whose releases lie below /etcd."""
    mirror = Mirror()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            mirror.asked.append(self.path.rpartition("/")[2])
            answer(self, mirror)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing: the tests ask `asked`."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        scheme = "https" if tls else "http"
        mirror.base = f"{scheme}://127.0.0.1:{server.server_port}/etcd"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield mirror
        finally:
            mirror.go_on.set()
            server.shutdown()
            thread.join()


def answer(request: BaseHTTPRequestHandler, mirror: Mirror) -> None:
    if request.path in mirror.redirects:
        request.send_response(302)
        request.send_header("Location", mirror.redirects[request.path])
        request.send_header("Content-Length", "0")
        request.end_headers()
        return
    content = mirror.files.get(request.path)
    request.send_response(404 if content is None else mirror.status)
    body = content or b"sorry"
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    slow = request.path.endswith(".gz") and (mirror.cut or mirror.stalled)
    request.wfile.write(body[: len(body) // 2] if slow else body)
    if slow and mirror.stalled:
        mirror.half_sent.set()
        mirror.go_on.wait()
