"""Chromium without a screen, asked through its DevTools protocol: what a page may do, and what a person sees."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import connect
from websockets.sync.connection import Connection

_FLAGS = (
    "--headless",
    "--no-sandbox",  # of its own, which root has none of
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)
_TIMEOUT_S = 60


class Page:
    """One tab."""

    def __init__(self, socket: Connection) -> None:
        self._socket, self._number, self._session = socket, 0, ""
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        attached = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        self._call("Page.enable")

    def open(self, url: str) -> None:
        """Go to a page and wait until it is there; what its scripts make of it comes later."""
        self._call("Page.navigate", url=url)
        self.until("document.readyState == 'complete'")

    def run(self, script: str) -> Any:
        """The value of an expression in the page, awaited when it is a promise."""
        told = self._call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def until(self, script: str) -> Any:
        """The value of an expression once it is true."""
        deadline = time.monotonic() + _TIMEOUT_S
        while time.monotonic() < deadline:
            if found := self.run(script):
                return found
            time.sleep(0.1)
        raise AssertionError(f"never true: {script}\n{self.run('document.body.innerText')}")

    def write(self, field: str, text: str) -> None:
        """Type into the field that a CSS selector names."""
        found = f"document.querySelector({json.dumps(field)})"
        self.until(f"{found} !== null")
        self.run(f"{found}.focus()")
        self._call("Input.insertText", text=text)

    def press(self, button: str) -> None:
        """Click the button that a CSS selector names."""
        found = f"document.querySelector({json.dumps(button)})"
        self.until(f"{found} !== null")
        self.run(f"{found}.click()")

    def picture(self, path: Path) -> None:
        """Keep what is seen as a PNG."""
        path.write_bytes(base64.b64decode(self._call("Page.captureScreenshot")["data"]))

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._socket.send(json.dumps(message))
        while True:  # events come in between
            told = json.loads(self._socket.recv(timeout=_TIMEOUT_S))
            if told.get("id") == self._number:
                assert "error" not in told, told
                result: dict[str, Any] = told["result"]
                return result


@contextmanager
def browser(profile: Path, *flags: str) -> Iterator[Page]:
    """A browser with an empty profile; sends nothing anywhere by itself."""
    program = shutil.which("chromium")
    assert program, "install chromium (Debian: chromium)"
    arguments = (program, *_FLAGS, *flags, f"--user-data-dir={profile}", "about:blank")
    log = profile.with_suffix(".log")
    with log.open("wb") as said, subprocess.Popen(arguments, stdout=said, stderr=said) as process:
        try:
            with connect(_address(profile), max_size=None, proxy=None) as socket:
                yield Page(socket)
        finally:
            process.terminate()


def _address(profile: Path) -> str:
    file = profile / "DevToolsActivePort"
    deadline = time.monotonic() + _TIMEOUT_S
    while time.monotonic() < deadline:
        lines = file.read_text().splitlines() if file.exists() else []
        if len(lines) > 1:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        time.sleep(0.1)
    raise AssertionError(f"Chromium did not start: {profile.with_suffix('.log').read_text()}")
