"""Whose releases and units are: by our own record, by what systemd says, and by the unit files."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from quoracy.services.templates import render_unit
from tests.service_factories import service
from tests.services.test_services_facts import Site

OURS = render_unit(service()).unit
SSH = "ssh.service is not this service's: its file /lib/systemd/system/ssh.service is none of"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.mark.parametrize(
    ("text", "own"),
    [
        (OURS, True),
        ("[Service]\nWorkingDirectory=/opt/web\n", True),
        ("[Service]\nWorkingDirectory=-/opt/web/current", True),
        ('[Service]\nExecStart=/bin/sh -c "cd /opt/web && exec node x"\n', True),
        ("[Service]\nExecStart=/opt/web/web\n", True),
        ("[Service]\nExecStart=/usr/sbin/sshd -D\n# /opt/web\n", False),
        ("[Service]\nWorkingDirectory=/opt/web2\n", False),
        ("[Service]\nWorkingDirectory=/srv/opt/web\n", False),
        ("[Service]\nExecStartPre=/opt/web/x\nExecStart=/usr/bin/y\n", False),
        ("", False),
    ],
)
def test_a_unit_is_ours_or_starts_what_lies_in_the_directory(
    site: Site, text: str, own: bool
) -> None:
    # The directory of the test stands for /opt/web, also in the file.
    (site.root / "etc/web.service").write_text(text.replace("/opt/web", str(site.dir)))
    site.names["LoadState"] = "loaded"
    (*foreign,) = site.look().unit.foreign
    assert [one.startswith("web.service is not this service's: ") for one in foreign] == (
        [] if own else [True]
    )


def test_what_only_systemd_knows_is_somebody_elses(site: Site) -> None:
    assert site.look().unit.foreign == ()
    site.names["LoadState"] = "loaded"
    site.names["Id"] = "ssh.service"
    (said,) = site.look(app_service_name="ssh").unit.foreign
    assert said.startswith(SSH)
    (said,) = site.look(app_service_name="sshd").unit.foreign
    assert said == "sshd.service is another name of ssh.service (/lib/systemd/system/ssh.service)"


def test_another_name_of_our_own_unit_is_none_of_it(site: Site) -> None:
    (site.root / "etc/web.service").write_text(OURS)
    (site.root / "etc/www.service").symlink_to("web.service")
    site.names["LoadState"] = "loaded"
    (said,) = site.look(app_service_name="www").unit.foreign
    assert said.startswith("www.service is another name of web.service")


def test_a_socket_that_we_have_not_made_is_somebody_elses(site: Site) -> None:
    site.names["Socket"] = "loaded"
    (said,) = site.look().unit.foreign
    assert said.startswith("web.socket is not this service's: ")
    socket = render_unit(service(redeploy={"activation": "socket"})).socket
    (site.root / "etc/web.socket").write_text(str(socket))
    assert site.look().unit.foreign == ()


def test_a_process_whose_file_is_gone_is_nobodys(site: Site) -> None:
    site.pid = 1
    (said,) = site.look().unit.foreign
    assert "runs and has no file any more" in said


def test_of_nginx_nothing_is_asked(site: Site) -> None:
    site.names["LoadState"] = "loaded"
    assert site.look(service_type="static").unit.foreign == ()


def test_a_copy_by_hand_is_no_release_whatever_it_says_of_itself(site: Site) -> None:
    r1 = site.release("r1")
    (site.dir / "deps/k1").mkdir(parents=True)
    (site.dir / "deps/k1/.complete").touch()
    site.made("deps/k1")
    for here, there in (("releases/r1", "releases/r1.bak"), ("deps/k1", "deps/k1 of May")):
        shutil.copytree(site.dir / here, site.dir / there)
    for name in (".notes", "tar.gz", ".r1.incoming", ".r1.removed", ".r2.incoming"):
        (site.dir / "releases" / name).touch()
    (site.dir / "current").symlink_to("releases/r1.bak")
    (site.dir / "previous").symlink_to("elsewhere/r1")
    facts = site.look()
    assert (facts.releases, facts.dependencies) == ({"r1": r1}, frozenset({"k1"}))
    assert set(facts.strange) == {
        "releases/r1.bak",
        "releases/.notes",
        "releases/tar.gz",
        "releases/.r2.incoming",
        "deps/k1 of May",
    }
    # Nothing is made from what it holds, and nothing goes back there.
    assert (facts.layout, facts.current, facts.previous) == ("releases", None, None)
    assert (facts.astray, facts.manifest) == ("releases/r1.bak", None)


def test_the_service_that_directory_and_unit_are_kept_for(site: Site) -> None:
    facts = site.look()
    assert (facts.subject, facts.unit.subject) == ("", "")
    (site.dir / ".quoracy").mkdir()
    (site.dir / ".quoracy/owner").write_text("service:shop\n")
    unit = render_unit(service(service_name="api")).unit
    (site.root / "etc/web.service").write_text(unit)
    facts = site.look()
    assert (facts.subject, facts.unit.subject) == ("service:shop", "service:api")
    assert facts.unit.digest == hashlib.sha256(unit.encode()).hexdigest()
