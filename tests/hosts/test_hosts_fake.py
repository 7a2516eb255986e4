from __future__ import annotations

import pytest

from quoracy.errors import CommandFailed, HostUnreachable, RemoteError
from quoracy.hosts.fake import FakeHost
from quoracy.hosts.host import Host, Result
from quoracy.hosts.limits import ANSWER_BYTES


def test_it_answers_as_told_and_remembers_the_scripts() -> None:
    host = FakeHost("demo-1")
    as_host: Host = host
    host.answer(lambda script: "hostname" in script, Result(0, b"demo-1\n", b""))
    host.answer(lambda script: "echo" in script, lambda script: Result(0, script.encode(), b""))
    assert as_host.run("hostname", what="ask").stdout == b"demo-1\n"
    assert as_host.run("echo x", what="ask").stdout == b"echo x"
    assert host.scripts == ["hostname", "echo x"]


def test_the_answer_given_last_goes_first() -> None:
    host = FakeHost("demo-1")
    host.answer(lambda _: True, Result(0, b"first", b""))
    host.answer(lambda _: True, Result(0, b"second", b""))
    assert host.run("any", what="ask").stdout == b"second"


def test_exit_codes_mean_what_they_mean_on_a_real_host() -> None:
    host = FakeHost("demo-1")
    host.answer(lambda _: True, Result(3, b"abc", b"broken"))
    assert host.run("any", what="start", check=False).exit_code == 3
    with pytest.raises(CommandFailed, match="start failed with exit code 3: broken"):
        host.run("any", what="start")
    chunks = host.receive("any", what="download")
    assert next(chunks) == b"abc"
    with pytest.raises(CommandFailed):
        next(chunks)


def test_it_keeps_what_is_sent_and_gives_what_is_received() -> None:
    host = FakeHost("demo-1")
    host.answer(lambda _: True, Result(0, b"x" * 100_000, b""))
    host.send("cat > file", (b"ab", b"cd"), what="upload")
    assert host.sent == [b"abcd"]
    assert [len(chunk) for chunk in host.receive("cat file", what="download")] == [65536, 34464]


def test_it_tells_no_more_than_a_real_host_may() -> None:
    host = FakeHost("demo-1")
    host.answer(lambda _: True, Result(0, bytes(ANSWER_BYTES), b"x"))
    with pytest.raises(RemoteError, match="demo-1: look: it printed more than 32 MiB"):
        host.run("any", what="look")
    assert len(b"".join(host.receive("any", what="download"))) == ANSWER_BYTES
    with pytest.raises(RemoteError, match="download: it printed more than 1 MiB"):
        next(host.receive("any", what="download", limit=2**20))


def test_it_fails_as_told() -> None:
    host = FakeHost("demo-1")
    host.answer(lambda _: True, HostUnreachable("cut off", where="demo-1"))
    for call in (host.run, lambda script, what: host.send(script, [], what=what)):
        with pytest.raises(HostUnreachable, match="cut off"):
            call("any", what="try")
    with pytest.raises(HostUnreachable, match="cut off"):
        next(host.receive("any", what="try"))


def test_a_script_that_nobody_expected_is_a_mistake_of_the_test() -> None:
    with pytest.raises(LookupError, match="nobody told demo-1 what to answer to:\nreboot"):
        FakeHost("demo-1").run("reboot", what="reboot")
