"""Session channels of a connection, with the next one opened ahead of its command."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future

import paramiko

from quoracy.aside import pause

CLEANING_S, PAUSE_S = 2.0, 0.05
CONNECTION_ERRORS = (paramiko.SSHException, EOFError, OSError)


class Sessions:
    """Gives each command a channel of its own, and opens the one for the next meanwhile.

    To open a channel takes a round trip. One is kept open in advance, so sshd's MaxSessions must
    leave room for it.

    Args:
        timeout: Seconds that the opening of a channel may take.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._lock = threading.Lock()
        self._ahead: Future[paramiko.Channel] | None = None

    def take(self, transport: paramiko.Transport) -> paramiko.Channel:
        """Return an open channel that nobody else has.

        Raises:
            SSHException, EOFError, OSError: None could be opened.
        """
        with self._lock:
            ahead, self._ahead = self._ahead, None
        channel = _usable(ahead, transport) or self._opened(transport)
        self.open_ahead(transport)
        return channel

    def _opened(self, transport: paramiko.Transport) -> paramiko.Channel:
        """A new channel, once sshd has cleaned up behind those that were closed.

        It does so after it has answered what it has read with them: until then they count for its
        MaxSessions. Nothing has been begun, so asking again is safe.
        """
        end = time.monotonic() + CLEANING_S
        while True:
            try:
                return transport.open_session(timeout=self._timeout)
            # Of several refusals at once paramiko gives one the reason, and the others its base class.
            except paramiko.SSHException:
                if time.monotonic() > end or not transport.is_active():
                    raise
            pause(PAUSE_S)

    def open_ahead(self, transport: paramiko.Transport) -> None:
        """Begin to open the channel of the next command, unless that was begun."""
        with self._lock:
            if self._ahead is None:
                self._ahead = self._opening(transport)

    def _opening(self, transport: paramiko.Transport) -> Future[paramiko.Channel]:
        opening: Future[paramiko.Channel] = Future()

        def open_session() -> None:
            try:
                opening.set_result(transport.open_session(timeout=self._timeout))
            except Exception as error:  # noqa: BLE001  else whoever waits for it waits for ever
                # The next command opens its own, and says why it cannot.
                opening.set_exception(error)

        threading.Thread(target=open_session, name="open-session", daemon=True).start()
        return opening


def _usable(
    ahead: Future[paramiko.Channel] | None, transport: paramiko.Transport
) -> paramiko.Channel | None:
    """The channel that was opened ahead, unless it could not be, or its connection is another or gone."""
    if ahead is None or ahead.exception() is not None:
        return None
    channel = ahead.result()
    return None if channel.closed or channel.get_transport() is not transport else channel
