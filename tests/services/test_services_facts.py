"""What a host says of a service: asked by a real shell of a directory of the test, and parsed."""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from quoracy.hosts.bounded import Unreadable
from quoracy.hosts.limits import UNPACKED_BYTES
from quoracy.hosts.question import Answer, ask_all, parse_answers
from quoracy.services.facts import (
    ReleaseFacts,
    ServiceHostFacts,
    UnitFacts,
    parse_service_host,
    record_of,
    unpacked,
)
from quoracy.services.facts_flat import parse_flat
from quoracy.services.facts_questions import service_questions
from quoracy.services.facts_state import (
    UnitState,
    healthy_question,
    parse_state,
    state_question,
)
from quoracy.services.manifest import Entry, Manifest
from tests.service_factories import service
from tests.setpriv_stub import put_setpriv

MANIFEST = Manifest(
    (Entry("index.js", "file", False, 3, "ab"), Entry("é\udcff\n", "link", False, 0, "x"))
)
SHOWN = """#!/bin/sh
case "$*" in *ExecMainStartTimestamp*) echo "STARTED"; exit ;; esac
MEANWHILE
echo "Id=NAME
LoadState=LOADED
FragmentPath=PATH_OF
ActiveState=active
SubState=running
MainPID=PID
NRestarts=2
ControlGroup="
case "$*" in *.socket) for last in "$@"; do :; done; echo "
Id=$last
LoadState=KNOWN
ActiveState=SOCKET
SubState=dead
ControlGroup=" ;; esac
"""


@contextmanager
def working_in(place: Path) -> Iterator[int]:
    """A process there; its ID."""
    with subprocess.Popen(["sleep", "100"], cwd=place) as process:
        try:
            yield process.pid
        finally:
            process.kill()


class Site:
    """A host in a directory; it needs no root."""

    def __init__(self, root: Path) -> None:
        self.root, self.dir = root, root / "opt/web"
        self.dir.mkdir(parents=True)
        put_setpriv(root / "bin", root / "as")
        (root / "etc").mkdir()
        self.pid, self.socket, self.started, self.meanwhile = 0, "inactive", "", ":"
        self.names = {"Id": "web.service", "LoadState": "not-found", "Socket": "not-found"}

    def text(self, text: str) -> str:
        moved = text.replace("/opt/web", str(self.dir)).replace(
            "/etc/systemd/system", f"{self.root}/etc"
        )
        return moved.replace("/var/www", f"{self.root}/www").replace(
            "/run/quoracy", f"{self.root}/run"
        )

    def shell(self, text: str) -> bytes:
        systemctl = self.root / "bin/systemctl"
        systemctl.write_text(
            SHOWN.replace("PID=PID", f"PID={self.pid}")
            .replace("SOCKET", self.socket)
            .replace("NAME", self.names["Id"])
            .replace("LOADED", self.names["LoadState"])
            .replace("PATH_OF", f"/lib/systemd/system/{self.names['Id']}")
            .replace("KNOWN", self.names["Socket"])
            .replace("STARTED", self.started)
            .replace("MEANWHILE", self.meanwhile)
        )
        systemctl.chmod(0o755)
        environment = {**os.environ, "PATH": f"{self.root}/bin:{os.environ['PATH']}"}
        done = subprocess.run(
            ["sh", "-s"],
            input=self.text(text).encode(),
            capture_output=True,
            env=environment,
            check=True,
        )
        return done.stdout.replace(str(self.dir).encode(), b"/opt/web")

    def look(self, source: str = "wanted", **settings: Any) -> ServiceHostFacts:
        return parse_service_host(service(**settings), self.answers(source, **settings))

    def answers(self, source: str = "wanted", **settings: Any) -> dict[str, Answer]:
        output = self.shell(ask_all(service_questions(service(**settings), source)))
        return {
            name: Answer(
                answer.text.replace(str(self.dir), "/opt/web").replace(
                    f"{self.root}/www", "/var/www"
                ),
                answer.exit_code,
            )
            for name, answer in parse_answers(output).items()
        }

    def made(self, *places: str) -> None:
        """Say that we have made them."""
        for place in places:
            mark = self.dir / ".quoracy/made" / place
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()

    def release(self, identity: str, *, source: str = "s", complete: bool = True) -> ReleaseFacts:
        facts = ReleaseFacts(identity, source, "r", "k1", "v20", 7, "op", 'a note: "é"')
        own = self.dir / "releases" / identity / ".quoracy"
        own.mkdir(parents=True)
        (own / "release.json").write_bytes(record_of(facts))
        (own / "manifest").write_text(MANIFEST.text)
        if complete:
            (own / "complete").touch()
        if not identity.startswith("."):
            self.made(f"releases/{identity}")
        return facts


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_an_empty_host(site: Site) -> None:
    site.dir.rmdir()
    facts = site.look()
    assert (facts.layout, facts.current, facts.previous, facts.releases) == ("none", None, None, {})
    assert (facts.manifest, facts.flat, facts.adopting, facts.port_taken) == (
        None,
        (),
        False,
        False,
    )
    assert facts.unit == UnitFacts("active", "running", 0, 2, "", "", socket=False)
    assert facts.directory_of == ""
    assert facts.host.free_bytes["/opt/web"] > 0


def test_prepared_and_no_more_is_still_none(site: Site) -> None:
    for name in ("releases", "shared", "deps", ".quoracy"):
        (site.dir / name).mkdir()
    assert site.look().layout == "none"


@pytest.mark.skipif(os.geteuid() != 0, reason="gives directories away")
@pytest.mark.parametrize("theirs", ["releases", "releases/r1", "releases/r1/.quoracy"])
def test_what_is_not_roots_is_not_read_as_a_record(site: Site, theirs: str) -> None:
    """Its owner may make any file of it a link to one of root's, or to one without an end."""
    site.release("r1")
    (site.dir / "current").symlink_to("releases/r1")
    assert set(site.look().releases) == {"r1"}
    assert site.look().manifest == MANIFEST
    os.chown(site.dir / theirs, 65534, -1)
    assert site.look().releases == {}
    if theirs != "releases":
        assert site.look().manifest is None


def test_releases_links_and_dependencies(site: Site) -> None:
    r1, r2 = site.release("r1"), site.release("r2", source="wanted")
    site.release("r3", complete=False)
    site.release(".r4.incoming")
    r5 = site.release("r5")
    (site.dir / "releases/r1/.quoracy/healthy").touch()
    (site.dir / "releases/r5/.quoracy/proven").touch()
    (site.dir / "current").symlink_to("releases/r2")
    (site.dir / "previous").symlink_to("releases/gone")
    (site.dir / ".quoracy/adoption").mkdir(parents=True)
    for key in ("k1", "k2"):
        (site.dir / "deps" / key).mkdir(parents=True)
    (site.dir / "deps/k1/.complete").touch()
    site.made("releases/r4", "deps/k1", "deps/k2")
    facts = site.look()
    expected = {
        "r1": ReleaseFacts(**{**_fields(r1), "healthy": True, "proven": True}),
        "r2": r2,
        "r5": ReleaseFacts(**{**_fields(r5), "proven": True}),
    }
    assert facts.releases == expected
    assert (facts.layout, facts.current, facts.previous) == ("releases", "r2", None)
    assert (facts.dependencies, facts.adopting, facts.flat) == (frozenset({"k1"}), True, ())
    assert (facts.strange, facts.astray) == ((), "")


def test_current_is_a_link_to_a_release_or_it_is_none_of_ours(site: Site) -> None:
    (site.dir / ".quoracy").mkdir()
    (site.dir / "index.js").touch()
    current = site.dir / "current"
    current.mkdir()
    assert (site.look().layout, site.look().taken) == ("flat", ("current",))
    current.rmdir()
    for target, layout in (
        ("elsewhere", "flat"),
        ("releases/r1", "releases"),
        ("/opt/web/releases/r1", "releases"),
    ):
        current.symlink_to(target)
        assert (site.look().layout, site.look().taken) == (layout, ())
        current.unlink()


@pytest.mark.parametrize("name", ["releases", "shared", "deps", "current", "previous", ".quoracy"])
def test_names_of_ours_that_we_have_not_made_are_told(site: Site, name: str) -> None:
    (site.dir / "index.js").touch()
    (site.dir / name).symlink_to("nowhere")
    assert site.look().taken == (name,)
    (site.dir / name).unlink()
    if name != ".quoracy":
        (site.dir / name).mkdir()
        assert site.look().taken == (name,)


def test_of_an_empty_directory_shared_may_be_made_by_hand(site: Site) -> None:
    (site.dir / "shared").mkdir()
    assert (site.look().layout, site.look().taken) == ("none", ())
    (site.dir / "releases").mkdir()
    assert site.look().taken == ("releases",)


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files away")
def test_what_is_not_roots_any_more_is_not_ours_any_more(site: Site) -> None:
    site.release("r1")
    for name in ("shared", "deps"):
        (site.dir / name).mkdir()
    (site.dir / "current").symlink_to("releases/r1")
    os.chown(site.dir / "shared", 99, 99)
    assert (site.look().layout, site.look().taken) == ("releases", ())
    os.chown(site.dir / "current", 99, 99, follow_symlinks=False)
    assert (site.look().layout, site.look().taken) == ("none", ("current",))
    os.chown(site.dir / ".quoracy", 99, 99)
    assert site.look().taken == ("releases", "current", "deps", ".quoracy")


def _fields(facts: ReleaseFacts) -> dict[str, Any]:
    return {name: getattr(facts, name) for name in ReleaseFacts.__slots__}


def test_the_manifest_comes_along_only_when_the_source_is_another(site: Site) -> None:
    site.release("r1", source="s")
    (site.dir / "current").symlink_to("releases/r1")
    assert site.look("s").manifest is None
    assert site.look("other").manifest == MANIFEST
    assert site.look("").manifest == MANIFEST


def test_flat_files_are_listed_whatever_their_names_are(site: Site) -> None:
    names = ["index.js", ".env", "a\nb", "-n", "sub/x y", "..odd"]
    for name in [
        *names,
        "node_modules/m/a.js",
        "venv/bin/python",
        "sub/__pycache__/a.pyc",
        "releases/r/x",
    ]:
        path = site.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (site.dir / "link").symlink_to("nowhere")
    Path(os.fsdecode(os.fsencode(site.dir) + b"/\xff")).touch()
    facts = site.look()
    assert facts.layout == "flat"
    assert facts.flat == tuple(sorted([*names, "link", "\udcff"]))


@pytest.mark.parametrize("started", ["Sat 2026-11-21 15:59:45 UTC", ""])
def test_what_the_service_may_have_written_is_told_before_an_adoption(
    site: Site, started: str
) -> None:
    start, site.started = 1795276785, started
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of "abc"
    newer = {"state.json": 2, "sub/a\nb": 3, "uploads [1]/x": 4, "node_modules/m/y": 5}
    older = {"index.js": 0, "seed.txt": -9, "data/app.DB": -9, "uploads [1]/old.sqlite": -9}
    for name, after in {**newer, **older}.items():
        path = site.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("abc")
        os.utime(path, (start + after, start + after))
    redeploy = {"shared": ["uploads [1]"]}
    found = dict.fromkeys(["data/app.DB", *(["state.json", "sub/a\nb"] if started else [])], digest)
    assert site.look(redeploy=redeploy).written == found
    assert site.look(service_type="static").written == {}
    (site.dir / "current").symlink_to("releases/r1")
    facts = site.look(redeploy=redeploy)
    assert (facts.written, len(facts.flat)) == ({}, 7)


def test_digests_that_were_cut_off_do_not_count() -> None:
    def encoded(*names: str) -> str:
        return base64.b64encode("".join(names).encode()).decode()

    answer = "\n".join([encoded("a\0", "b\0"), encoded("a\0", "b\0"), encoded("12  a\0", "34  ")])
    assert parse_flat(Answer(answer, 0)) == (("a", "b"), {"a": "12", "b": ""})


def test_the_unit_and_where_its_process_works(site: Site) -> None:
    place = site.dir / "releases/r1"
    place.mkdir(parents=True)
    text = f"ExecStart=/usr/bin/node {site.dir}/index.js"
    (site.root / "etc/web.service").write_text(text)
    site.names["LoadState"] = "loaded"
    with working_in(place) as site.pid:
        unit = site.look().unit
    assert unit == UnitFacts(
        "active",
        "running",
        site.pid,
        2,
        hashlib.sha256(text.encode()).hexdigest(),
        "/opt/web/releases/r1",
        socket=False,
    )
    site.socket = "active"
    assert site.look().unit.socket


@pytest.mark.parametrize("listener", ["own", "other", "nobody"])
def test_a_port_is_taken_when_another_process_listens_there(site: Site, listener: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if listener == "nobody":
            server.close()
        site.pid = os.getpid() if listener == "own" else 0
        assert site.look(app_port=port).port_taken == (listener == "other")


def test_a_service_that_is_restarted_while_it_is_looked_at_is_no_stranger(site: Site) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        subprocess.Popen(["sleep", "100"], stdin=server.fileno()) as before,
    ):
        port = server.getsockname()[1]
        server.close()
        site.pid = os.getpid()
        assert site.look(app_port=port).port_taken
        site.meanwhile = f"kill -9 {before.pid}; sleep 0.3"
        assert not site.look(app_port=port).port_taken


def test_static_says_what_nginx_serves(site: Site) -> None:
    root = site.root / "www/web"
    root.mkdir(parents=True)
    assert site.look(service_type="static").web_root == "empty"
    (root / "index.html").touch()
    assert site.look(service_type="static").web_root == "directory"
    (root / "index.html").unlink()
    root.rmdir()
    root.symlink_to("/opt/web/current/.quoracy/public")
    assert site.look(service_type="static").web_root == "/opt/web/current/.quoracy/public"


def test_a_directory_that_is_reached_through_a_link_is_named_as_in_the_file(site: Site) -> None:
    real = site.root / "srv"
    site.dir.rename(real)
    site.dir.symlink_to(real)
    (real / "releases/r1").mkdir(parents=True)
    with working_in(real / "releases/r1") as site.pid:
        assert site.look().unit.running_in == "/opt/web/releases/r1"


@pytest.mark.parametrize(
    ("packed", "said"),
    [
        (gzip.compress(bytes(UNPACKED_BYTES + 1)), "larger than 32 MiB"),
        (gzip.compress(b"x" * 99)[:-9], "cut off"),
        (b"no gzip", "not gzip's"),
    ],
)
def test_what_a_manifest_is_packed_in_is_bounded(packed: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        unpacked(packed)


def test_a_manifest_that_is_none_is_an_error(site: Site) -> None:
    encoded = base64.b64encode(gzip.compress(b"{}")).decode()
    site.release("r1")
    (site.dir / "current").symlink_to("releases/r1")
    answers = site.answers("")
    with pytest.raises(Exception, match="not a manifest"):
        parse_service_host(service(), {**answers, "manifest": Answer(encoded, 0)})


def test_the_state_and_the_mark(site: Site) -> None:
    place = site.dir / "releases/r1"
    site.release("r1")
    with working_in(place) as site.pid:
        wanted = service()
        state = parse_state(site.shell(state_question(wanted, "/opt/web/releases/r1")))
        assert state == UnitState("active", "running", site.pid, 2, inside=True)
        elsewhere = parse_state(site.shell(state_question(wanted, "/opt/web")))
        assert (elsewhere.inside, elsewhere.works_in) == (False, "/opt/web/releases/r1")
        mark = place / ".quoracy/healthy"
        for begin in (
            UnitState("", "", 1, 2, inside=True),
            UnitState("", "", site.pid, 1, inside=True),
        ):
            site.shell(healthy_question(wanted, "/opt/web/releases/r1", begin))
            assert not mark.exists()
        said = site.shell(healthy_question(wanted, "/opt/web/releases/r1", state))
        assert (parse_state(said), mark.exists()) == (state, True)


@pytest.mark.parametrize("text", ["[" * 200_000, '{"created_s": ' + "9" * 5000 + "}", ""])
def test_a_record_that_cannot_be_read_is_told(site: Site, text: str) -> None:
    """Also one without an end of its line: a release that is left out would look like none."""
    site.release("r1")
    (site.dir / "releases/r1/.quoracy/release.json").write_text(text)
    with pytest.raises(Unreadable, match="release r1"):
        site.look()
