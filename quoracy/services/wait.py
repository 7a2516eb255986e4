"""The gate: wait until what was switched to serves, and has gone on doing so for a while."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import unquote

from quoracy.aside import pause
from quoracy.errors import (
    AnswerUnreadable,
    CommandTimeout,
    HostUnreachable,
    QuoracyError,
    StepFailed,
)
from quoracy.hosts.host import MAX_BODY_BYTES, Host
from quoracy.hosts.looks import ask
from quoracy.operation.verdict import Verdict, failed
from quoracy.plain import plain
from quoracy.redact import redact
from quoracy.services.checks import (
    HTTP_PORT,
    NO_ANSWER,
    check_alive,
    check_answer,
    check_gate,
    check_process,
    told,
)
from quoracy.services.facts_state import (
    UnitState,
    healthy_question,
    parse_state,
    state_question,
)
from quoracy.services.layout import web_root
from quoracy.services.scripts import last_words
from quoracy.services.scripts_user import as_user
from quoracy.services.spec import Service, ServiceType

STABLE_S = 3.0
"""Seconds for which one process must have answered: a service may start, answer and end after two."""

WAY_BACK_S = 0.5
"""Of the timeout, kept for the way back: a broken release must not serve longer than that."""
ANSWER_S = 5.0
FIRST_PAUSE_S, LONGEST_PAUSE_S, SLOWER = 0.1, 1.0, 1.5
LAST_LINES = 20
SILENCE = (HostUnreachable, CommandTimeout, AnswerUnreadable)
"""What takes time and proves nothing, of the release or against it."""


def await_service(
    service: Service,
    host: Host,
    directory: str,
    *,
    hold: Callable[[str], str] | None,
    stable_s: float = STABLE_S,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = pause,
) -> str:
    """Ask until the release is healthy, or the time for its first good answer is over.

    Healthy means: so many answers 2xx in a row as wanted, over at least `stable_s`, while the same
    process of the running unit worked in the release. It is then marked as healthy on the host. A
    host that cannot be asked takes time, and proves nothing.

    Args:
        directory: What the process must work in: a release, or the service's own directory.
        hold: Makes a changing script of the one that marks it (`quoracy.operation.guard.guarded`);
            None leaves the mark to what comes later.

    Returns:
        What was seen, one line for the journal.

    Raises:
        StepFailed: It did not become healthy; with what was seen last and the unit's last lines.
        ForwardingForbidden: The host's sshd lets nobody ask.
    """
    return _Gate(service, host, directory, hold, stable_s, clock).passed(sleep)


class _Gate:
    """One wait: what was seen first and last, and the good answers in a row."""

    def __init__(
        self,
        service: Service,
        host: Host,
        directory: str,
        hold: Callable[[str], str] | None,
        stable_s: float,
        clock: Callable[[], float],
    ) -> None:
        self._service, self._host, self._directory = service, host, directory
        self._hold, self._stable_s, self._clock = hold, stable_s, clock
        self._first: UnitState | None = None
        self._state: UnitState | None = None
        self._row = 0
        self._since = 0.0
        self._doubtful = False  # whether somebody else may have answered
        self._seen = failed("HostSilent", "the host could not be asked")

    def passed(self, sleep: Callable[[float], None]) -> str:
        """Ask, wait, ask again."""
        service = self._service
        begun = self._clock()
        deadline = begun + max(1.0, service.redeploy.health_check_timeout - WAY_BACK_S)
        wanted = service.redeploy.health_check_successes
        bodies = self._bodies()
        pause = FIRST_PAUSE_S
        while True:
            asked = self._clock()
            self._ask(bodies)
            if self._row >= wanted and self._clock() - self._since >= self._stable_s:
                if self._is_healthy():
                    return f"healthy {self._clock() - begun:.1f} s after it was asked first"
                self._row = 0
            if not self._row and self._clock() > deadline:
                limit = service.redeploy.health_check_timeout
                raise self._failure(
                    f"not healthy within {limit} s: {self._seen.message}", self._seen.next_step
                )
            if self._row:
                pause = self._spread(wanted)
            else:
                pause = min(pause, max(0.01, deadline - self._clock()))
            sleep(max(0.0, pause - (self._clock() - asked)))
            pause = FIRST_PAUSE_S if self._row else min(LONGEST_PAUSE_S, pause * SLOWER)

    def _ask(self, bodies: dict[str, bytes | None]) -> None:
        """One look: at the unit unless it is known to run well, and at every path."""
        try:
            if not self._row:
                self._look()
            if self._state is None or check_process(self._service, self._state).stops:
                return
            answers = (self._answer(*each) for each in bodies.items())
            wrong = next((each for each in answers if each.stops), None)
        except SILENCE as error:
            self._row, self._seen = 0, _silent(error)
            return
        if wrong is not None:
            seen = f"{wrong.message}; unit {told(self._state)}"
            self._row, self._seen = 0, replace(wrong, message=seen)
            self._doubtful = wrong.reason != NO_ANSWER
            return
        if not self._row:
            self._since = self._clock()
        self._row += 1

    def _look(self) -> None:
        """The unit's state, as it is before an answer is asked for.

        Raises:
            StepFailed: There is nothing to wait for.
        """
        script = state_question(self._service, self._directory, listeners=self._doubtful)
        state = ask(self._host, script, parse_state, what="look at the service")
        self._doubtful = state.stranger
        self._state = state
        self._first = self._first or state
        alive = check_alive(self._first, state)
        if alive.stops:
            raise self._failure(f"{alive.message}; {self._seen.message}")
        process = check_process(self._service, state)
        if process.stops:
            self._seen = process

    def _answer(self, path: str, body: bytes | None) -> Verdict:
        """What the answer to a path says of the release."""
        service = self._service
        answer = self._host.http_get(
            service.port or HTTP_PORT,
            path,
            timeout=ANSWER_S,
            virtual_host=service.redeploy.health_check_host or "",
        )
        return check_answer(
            service,
            path,
            status=answer.status,
            problem=answer.problem,
            same_file=None if body is None else answer.body == body,
        )

    def _is_healthy(self) -> bool:
        """The last look, which marks the release when its process is still the one of the first."""
        if self._state is None:
            return False
        if self._hold is None or self._directory == self._service.directory:
            script = state_question(self._service, self._directory)
        else:
            script = self._hold(healthy_question(self._service, self._directory, self._state))
        try:
            end = ask(self._host, script, parse_state, what="mark the release as healthy")
        except SILENCE as error:
            self._seen = _silent(error)
            return False
        self._doubtful = end.stranger
        self._seen = check_gate(self._service, self._state, end, [True] * self._row)
        return not self._seen.stops

    def _spread(self, wanted: int) -> float:
        """Seconds to the next question: what is left is spread over what is to be seen."""
        left = self._stable_s - (self._clock() - self._since)
        pause = left / max(1, wanted - self._row)
        return min(LONGEST_PAUSE_S, max(FIRST_PAUSE_S, pause))

    def _bodies(self) -> dict[str, bytes | None]:
        """The paths to ask for; static: with what the release has there, as far as it is a file."""
        health = self._service.health
        if self._service.type is not ServiceType.STATIC:
            return {health: None}
        bodies = {health: self._file(health)}
        if bodies[health] is None:
            bodies["/"] = self._file("/")
        return bodies

    def _file(self, path: str) -> bytes | None:
        flat = self._directory == self._service.directory
        root = web_root(self._service) if flat else f"{self._directory}/.quoracy/public"
        place = f"{root}{unquote(path.partition('?')[0])}"
        first = (
            'for each in "$1" "$1/index.html"; do '
            f'[ ! -f "$each" ] || {{ head -c {MAX_BODY_BYTES} "$each"; exit; }}; done; exit 1'
        )
        argv = ("sh", "-c", first, "sh", place)
        # What nginx serves of a flat directory is the app user's: a link there may lead to a file of root's.
        script = as_user(self._service.user, *argv) if flat else shlex.join(argv)
        found = self._host.run(script, what="read the release's page", check=False)
        return found.stdout if found.exit_code == 0 else None

    def _failure(self, what: str, next_step: str = "") -> StepFailed:
        """With the service's own last words."""
        try:
            script = last_words(self._service, LAST_LINES)
            said = self._host.run(script, what="read the log", check=False).stdout
        except SILENCE as error:
            said = error.what.encode()
        lines = redact(plain(said.decode("utf-8", "replace"))).strip().replace("\n", "\n    ")
        return StepFailed(
            f"{what}\n    {lines}" if lines else what,
            where=self._host.name,
            next_step=next_step
            or f"`quoracy service logs {self._service.name}` shows more of its log",
        )


def _silent(error: QuoracyError) -> Verdict:
    return failed("HostSilent", error.what, next_step=error.next_step)
