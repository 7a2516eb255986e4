"""The gate against a made-up host, whose service lives through a story in made-up time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from quoracy.errors import CommandFailed, ForwardingForbidden, HostUnreachable, StepFailed
from quoracy.hosts.fake import FakeHost
from quoracy.hosts.host import HttpAnswer, Result
from quoracy.services.wait import STABLE_S, await_service
from tests.service_factories import service

RELEASE = "/opt/web/releases/new"
OK = HttpAnswer(200, b"ok")
REFUSED = HttpAnswer(0, b"", "nobody takes connections: Connection refused")
Story = Callable[[float], tuple[HttpAnswer, str]]


@dataclass
class World:
    """Time, and a host on which the story happens."""

    story: Story
    now: float = 0.0
    held: list[str] = field(default_factory=list)
    host: FakeHost = field(default_factory=lambda: FakeHost("h1"))

    def __post_init__(self) -> None:
        self.host.answer(lambda script: "systemctl show" in script, self._show)
        self.host.answer(lambda script: "journalctl" in script, Result(0, b"Error: no\nbye\n", b""))
        self.host.http_answer(lambda *_: True, lambda *_: self.story(self.now)[0])

    def _show(self, _: str) -> Result:
        return Result(0, self.story(self.now)[1].encode(), b"")

    def sleep(self, seconds: float) -> None:
        self.now += seconds + 0.01

    def hold(self, body: str) -> str:
        self.held.append(body)
        return body

    def wait(self, directory: str = RELEASE, **settings: Any) -> str:
        wanted = service(**settings)
        return await_service(
            wanted, self.host, directory, hold=self.hold, clock=lambda: self.now, sleep=self.sleep
        )


def unit(
    pid: int = 7,
    restarts: int = 0,
    active: str = "active",
    sub: str = "running",
    inside: bool = True,
    stranger: str = "",
) -> str:
    cwd = "inside=yes" if inside else "cwd=/opt/web/releases/old"
    return f"ActiveState={active}\nSubState={sub}\nMainPID={pid}\nNRestarts={restarts}\n\n{cwd}\nstranger={stranger}\n"


def test_a_service_that_answers_at_once_is_watched_for_a_while_and_marked() -> None:
    world = World(lambda _: (OK, unit()))
    assert world.wait() == f"healthy {world.now:.1f} s after it was asked first"
    assert STABLE_S <= world.now < STABLE_S + 1
    assert len(world.held) == 1
    assert "active running 7 0" in world.held[0]
    assert len([one for one in world.host.scripts if "systemctl show" in one]) == 2
    assert world.host.asked[0][:3] == ("127.0.0.1", 3000, "/health")


def test_without_a_window_it_takes_as_many_answers_as_are_wanted() -> None:
    world = World(lambda _: (OK, unit()))
    await_service(
        service(redeploy={"health_check_successes": 5}),
        world.host,
        RELEASE,
        hold=world.hold,
        stable_s=0,
        clock=lambda: world.now,
        sleep=world.sleep,
    )
    assert len(world.host.asked) == 5
    assert world.now < 1


def test_a_slow_start_is_waited_for() -> None:
    world = World(lambda now: (OK if now > 10 else REFUSED, unit()))
    world.wait()
    assert 13 < world.now < 15


@pytest.mark.parametrize("status", [404, 500, 301, 0])
def test_another_status_is_not_healthy(status: int) -> None:
    world = World(lambda _: (HttpAnswer(status, b"", "" if status else "no answer"), unit()))
    with pytest.raises(StepFailed) as caught:
        world.wait()
    told = f"status {status}" if status else "no answer"
    assert str(caught.value) == (
        f"h1: not healthy within 30 s: GET /health: {told}; unit active (running)\n"
        "    Error: no\n    bye\n"
        "  Next: `quoracy service logs web` shows more of its log"
    )
    assert world.held == []
    assert 29.5 <= world.now < 32


def test_one_that_dies_after_two_seconds_is_caught() -> None:
    """Started again each time by systemd, a second later; it answers while it lives."""

    def story(now: float) -> tuple[HttpAnswer, str]:
        life, age = divmod(now, 3.0)
        if age < 2:
            return OK, unit(pid=7 + int(life), restarts=int(life))
        return REFUSED, unit(pid=0, restarts=int(life), active="activating", sub="auto-restart")

    world = World(story)
    with pytest.raises(StepFailed, match="the service has ended 2 times"):
        world.wait()
    assert world.held == []
    assert world.now < 10


def test_one_that_was_restarted_between_two_questions_is_watched_anew() -> None:
    world = World(lambda now: (OK, unit(pid=7 if now < 2.5 else 8, restarts=int(now >= 2.5))))
    world.wait()
    assert 6 < world.now < 8
    assert "active running 8 1" in world.held[-1]


def test_a_unit_that_has_failed_is_not_waited_for() -> None:
    world = World(lambda _: (REFUSED, unit(pid=0, active="failed", sub="failed")))
    with pytest.raises(StepFailed, match="systemd has given the unit up"):
        world.wait()
    assert world.now < 1


def test_the_old_release_may_answer_as_well_as_it_likes() -> None:
    world = World(lambda _: (OK, unit(inside=False)))
    with pytest.raises(StepFailed, match="works in /opt/web/releases/old, not in the release"):
        world.wait()
    assert world.host.asked == []


def test_nobody_else_may_answer_on_its_port() -> None:
    world = World(lambda _: (OK, unit(stranger="1234")))
    with pytest.raises(StepFailed) as caught:
        world.wait(health_check_path="/ready")
    assert caught.value.what.startswith(
        "not healthy within 30 s: something else answers on port 3000"
    )
    assert "ss -ltnp" in caught.value.next_step
    assert world.held == []
    assert 29.5 <= world.now < 32
    # Who listens takes longest to find out: first at the end of a row of good answers, then each time.
    asked = ["/proc/net/tcp" in one for one in world.host.scripts if "systemctl show" in one]
    assert asked[:3] == [False, True, True]


def test_who_answers_otherwise_may_be_somebody_else() -> None:
    world = World(lambda _: (HttpAnswer(404, b""), unit(stranger="1234")))
    with pytest.raises(StepFailed, match="something else answers on port 3000"):
        world.wait()


def test_a_process_of_before_may_take_a_moment_to_end() -> None:
    world = World(lambda now: (OK, unit(stranger="1234" if now < 4 else "")))
    world.wait()
    assert 7 < world.now < 9


def test_one_that_comes_while_it_is_watched_is_seen_at_the_end() -> None:
    world = World(lambda now: (OK, unit(stranger="1234" if 1 < now < 5 else "")))
    world.wait()
    assert 8 < world.now < 10
    assert len(world.held) == 2


def test_an_sshd_that_forbids_to_forward_is_not_asked_again() -> None:
    world = World(lambda _: (OK, unit()))
    world.host.forwards = False
    with pytest.raises(ForwardingForbidden, match="port 3000"):
        world.wait()
    assert len(world.host.asked) == 1


def test_the_service_is_called_what_it_wants_to_be_called() -> None:
    world = World(lambda _: (OK, unit()))
    world.wait(redeploy={"health_check_host": "shop.example.org"})
    assert set(world.host.virtual_hosts) == {"shop.example.org"}
    world = World(lambda _: (OK, unit()))
    world.wait()
    assert set(world.host.virtual_hosts) == {""}


def test_a_host_that_is_away_for_a_while_proves_nothing() -> None:
    world = World(lambda _: (OK, unit()))
    away = HostUnreachable("cut off", where="h1")

    def show(_: str) -> Result:
        if 1 < world.now < 5:
            raise away
        return Result(0, unit().encode(), b"")

    def answer(*_: object) -> HttpAnswer:
        if 1 < world.now < 5:
            raise away
        return OK

    world.host.answer(lambda script: "systemctl show" in script, show)
    world.host.http_answer(lambda *_: True, answer)
    world.wait()
    assert 8 < world.now < 10


def test_a_host_that_stays_away_fails_the_step() -> None:
    world = World(lambda _: (OK, unit()))
    world.host.answer(lambda _: True, HostUnreachable("cut off", where="h1"))
    with pytest.raises(StepFailed, match="cut off"):
        world.wait()


def test_who_may_not_act_any_more_does_not_go_on() -> None:
    world = World(lambda _: (OK, unit()))
    fenced = CommandFailed("mark", where="h1", exit_code_remote=76, stderr="fenced")
    world.host.answer(lambda script: "healthy" in script, fenced)
    with pytest.raises(CommandFailed, match="fenced"):
        world.wait()


def test_the_flat_directory_is_not_marked() -> None:
    world = World(lambda _: (OK, unit()))
    world.wait("/opt/web")
    assert world.held == []


def test_static_must_answer_with_the_file_of_the_release() -> None:
    world = World(lambda now: (HttpAnswer(200, b"new" if now > 2 else b"old"), unit(inside=False)))
    world.host.answer(lambda script: "head -c" in script, Result(0, b"new", b""))
    world.wait(service_type="static", app_port=8080)
    assert world.now > 2
    world = World(lambda _: (HttpAnswer(200, b"old"), unit(inside=False)))
    world.host.answer(lambda script: "head -c" in script, Result(0, b"new", b""))
    with pytest.raises(StepFailed, match="200, but it is not the file of the release") as caught:
        world.wait(service_type="static", app_port=8080)
    assert caught.value.next_step.startswith("let nginx serve /var/www/web on port 8080")


def test_static_whose_health_path_is_no_file_is_asked_for_its_page_too() -> None:
    world = World(lambda _: (HttpAnswer(200, b"page"), unit(inside=False)))
    world.host.answer(lambda script: "head -c" in script, Result(0, b"page", b""))
    world.host.answer(lambda script: "/public/health" in script, Result(1, b"", b""))
    world.wait(service_type="static", app_port=8080, health_check_path="/health")
    assert {path for _, _, path, _ in world.host.asked} == {"/health", "/"}
