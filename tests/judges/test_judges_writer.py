"""The writer against real HTTPS servers on loopback that answer as etcd's gateway does."""

from __future__ import annotations

import base64
import http.server
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from quoracy.errors import QuoracyError
from quoracy.pki.authority import Authority
from tests.judges.gateway import ClientFiles, Gateway, NotAnswered
from tests.judges.writer import Writer

RATE = 200.0


class Member:
    """A member: keys shared with the others, and a say in how it answers."""

    def __init__(self, keys: dict[str, str], context: ssl.SSLContext) -> None:
        self.keys = keys
        self.puts = 0
        self.fails = False
        member = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, answer = member.answer(self.path, body)
                content = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if path == "/v3/kv/put":
            self.puts += 1
            if self.fails:
                return 503, {"error": "etcdserver: request timed out"}
            self.keys[body["key"]] = body["value"]
            return 200, {"header": {"revision": "1"}}
        first, end = base64.b64decode(body["key"]), base64.b64decode(body["range_end"])
        wanted = sorted((base64.b64decode(key), key) for key in self.keys)
        page = [key for raw, key in wanted if first <= raw < end][: body["limit"]]
        # As etcd does, an empty answer has no `kvs` at all.
        return 200, {"kvs": [{"key": k, "value": self.keys[k]} for k in page]} if page else {}


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create("writer-test", datetime.now(UTC))


@pytest.fixture
def files(authority: Authority, tmp_path: Path) -> ClientFiles:
    return _files(authority, "client", tmp_path)


@pytest.fixture
def members(authority: Authority, tmp_path: Path) -> Iterator[list[Member]]:
    own = _files(authority, "server", tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=own.ca)
    context.load_cert_chain(own.cert, own.key)
    context.verify_mode = ssl.CERT_REQUIRED
    keys: dict[str, str] = {}
    members = [Member(keys, context) for _ in range(3)]
    yield members
    for member in members:
        member.server.shutdown()
        member.server.server_close()


def _files(authority: Authority, role: str, directory: Path) -> ClientFiles:
    names = ["127.0.0.1"] if role == "server" else []
    leaf = authority.issue(role, role, names, datetime.now(UTC), timedelta(days=1))  # type: ignore[arg-type]
    contents = {"ca": authority.cert_pem, "cert": leaf.cert_pem, "key": leaf.key_pem}
    for name, content in contents.items():
        (directory / f"{role}-{name}").write_bytes(content)
    return ClientFiles(*(str(directory / f"{role}-{name}") for name in contents))


def wait_until(condition: Callable[[], bool]) -> None:
    """The test's own time limit ends a wait that is in vain."""
    pause = threading.Event()
    while not condition():
        pause.wait(0.01)


def test_all_members_are_written_to_and_every_write_is_read_back(
    members: list[Member], files: ClientFiles
) -> None:
    with Writer([member.url for member in members], files, rate=RATE) as writer:
        wait_until(lambda: all(member.puts > 20 for member in members))
        report = writer.stop()
        assert writer.lost_writes(report) == ()
    assert report.acknowledged == len(report.writes) == len(members[0].keys)
    assert report.failed == 0
    assert [write.number for write in report.writes] == list(range(len(report.writes)))


def test_a_write_that_a_member_refuses_is_tried_at_another(
    members: list[Member], files: ClientFiles
) -> None:
    members[1].fails = True
    with Writer([member.url for member in members], files, rate=RATE) as writer:
        wait_until(lambda: members[1].puts > 20)
        report = writer.stop()
    assert report.failed == 0
    assert report.retries >= 20


def test_a_member_that_is_gone_does_not_stop_the_others(
    members: list[Member], files: ClientFiles
) -> None:
    with Writer([member.url for member in members], files, rate=RATE) as writer:
        wait_until(lambda: members[2].puts > 5)
        members[2].server.shutdown()
        members[2].server.server_close()
        before = members[0].puts
        wait_until(lambda: members[0].puts > before + 50)
        report = writer.stop()
        assert writer.lost_writes(report) == ()
    assert report.failed == 0


def test_a_key_that_vanished_is_reported_as_lost(members: list[Member], files: ClientFiles) -> None:
    with Writer([member.url for member in members], files, rate=RATE) as writer:
        wait_until(lambda: members[0].puts > 5)
        report = writer.stop()
        first = min(members[0].keys, key=base64.b64decode)
        del members[0].keys[first]
        assert writer.lost_writes(report) == (base64.b64decode(first).decode(),)


def test_more_keys_than_fit_into_a_page_are_all_read(
    members: list[Member], files: ClientFiles
) -> None:
    gateway = Gateway(members[0].url, files.context(), timeout_s=5.0)
    for number in range(7):
        gateway.put(f"k/{number}", str(number))
    first = gateway.page("k/", "k0", 3)
    rest = gateway.page(max(first) + "\0", "k0", 9)
    gateway.close()
    assert list(first | rest) == [f"k/{number}" for number in range(7)]


def test_nobody_answers_without_a_certificate_of_the_cluster(
    members: list[Member], tmp_path: Path
) -> None:
    stranger = Authority.create("stranger", datetime.now(UTC))
    (tmp_path / "strange").mkdir()
    own = _files(stranger, "client", tmp_path / "strange")
    gateway = Gateway(members[0].url, own.context(), timeout_s=5.0)
    with pytest.raises(NotAnswered, match="CERTIFICATE_VERIFY_FAILED"):
        gateway.put("k", "v")


def test_a_writer_that_was_not_started_cannot_be_stopped(files: ClientFiles) -> None:
    with pytest.raises(QuoracyError, match="not running"):
        Writer(["https://127.0.0.1:1"], files).stop()
