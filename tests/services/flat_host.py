"""Hosts laid out as the original leaves them: code, data and secrets flat in one directory."""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.services.shop import Shop

OURS = ("releases", "shared", "deps", ".quoracy", "current", "previous")
SHARED = ["uploads", "data.db", ".env"]
LONGEST_STOP_S = 30
QUICK = {
    "health_check_timeout": 8,
    "health_check_stable": 0,
    "pre_deploy_hook": None,
    "post_deploy_hook": None,
    "stop_timeout": 5,
}
NEW = {
    "version": "new",
    "secret": "TOKEN=secret-of-the-host",
    "token": "secret-of-the-host",
    "uploads": ["a photo.jpg"],
}

# It looks for its files where it is started, as the original's services do.
NOTES = """\
'use strict';
const fs = require('node:fs');
const http = require('node:http');
const version = fs.readFileSync('version.txt', 'utf8').trim();
const secret = fs.readFileSync('.env', 'utf8').trim();
let rows = 0;
setInterval(() => fs.appendFileSync('data.db', `app ${process.pid} ${(rows += 1)}\\n`), 50);
const server = http.createServer((request, response) => {
  if (request.url === '/health') return response.end('ok\\n');
  const uploads = fs.readdirSync('uploads');
  response.end(JSON.stringify({ version, secret, token: process.env.TOKEN, uploads }));
});
server.listen(process.env.LISTEN_FDS ? { fd: 3 } : process.env.PORT);
process.on('SIGTERM', () => setTimeout(() => process.exit(0), Number(process.env.STOP_MS || 0)));
"""


def unit(name: str, start: str, port: int, more: str = "") -> str:
    """The unit of the original (reference/redeploy.md section 1.2)."""
    return f"""[Unit]
Description={name}
After=network.target

[Service]
Type=simple
User=appuser
Group=appuser
WorkingDirectory=/opt/{name}
ExecStart={start}
Restart=always
RestartSec=10
Environment=PORT={port}
{more}
[Install]
WantedBy=multi-user.target
"""


def put(shop: Shop, path: str, text: str, mode: str = "0644", host: int = 1) -> None:
    """Write a file on a host, as the service's user has it."""
    shop.shell(
        f"install -D -o appuser -g appuser -m {mode} /dev/stdin {shlex.quote(path)} <<'END-OF-FILE'\n"
        f"{text}END-OF-FILE",
        host,
    )


def begin(shop: Shop, name: str, unit_text: str, host: int = 1) -> None:
    """Start the service of a directory that has been laid out."""
    shop.shell(
        f"chown -R appuser:appuser /opt/{name}; cat > /etc/systemd/system/{name}.service <<'END'\n"
        f"{unit_text}END\nsystemctl daemon-reload; systemctl enable -q --now {name}",
        host,
    )
    wait_for(shop, name, host)


def wait_for(shop: Shop, name: str, host: int = 1) -> None:
    """Until it answers."""
    deadline = time.monotonic() + LONGEST_STOP_S
    while True:
        try:
            shop.ask(name, "/health", host)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def lay_out_notes(shop: Shop, stop_ms: int = 0, host: int = 1) -> None:
    """A Node.js service that writes a database, with a dependency, uploads and a secret."""
    shop.raze(host)
    user = "id -u appuser >/dev/null 2>&1 || useradd --system --user-group appuser"
    shop.shell(f"{user}; install -d -o appuser -g appuser /opt/web", host)
    files = {
        "index.js": NOTES,
        "package.json": '{"name": "web"}\n',
        "version.txt": "old\n",
        "node_modules/left-pad/index.js": "module.exports = 1;\n",
        "uploads/a photo.jpg": "photo\n",
        "data.db": "first\n",
    }
    for name, text in files.items():
        put(shop, f"/opt/web/{name}", text, host=host)
    put(shop, "/opt/web/.env", "TOKEN=secret-of-the-host\n", "0600", host)
    more = f"Environment=STOP_MS={stop_ms}\n"
    begin(shop, "web", unit("web", "/usr/bin/node index.js", 3000, more), host)


def flat_state(shop: Shop, name: str, host: int = 1) -> str:
    """All that the original has there, with owners, modes and inodes, and its unit."""
    pruned = " -o ".join(f"-path ./{each}" for each in OURS)
    return shop.shell(
        f"cd /opt/{name}; stat -c '%U:%G %a' .; "
        f"find . -mindepth 1 \\( {pruned} \\) -prune -o -printf '%P %y %u:%g %m %i %l\\n' | sort; "
        f"ls /etc/systemd/system | grep '^{name}' || :; cat /etc/systemd/system/{name}.service; "
        f"systemctl is-enabled {name}; systemctl is-active {name}",
        host,
    )


def notes(shop: Shop, host: int = 1) -> dict[str, Any]:
    """What the service answers."""
    told: dict[str, Any] = json.loads(shop.ask("web", host=host))
    return told


def data(shop: Shop) -> tuple[int, list[str]]:
    """Inode and lines of the one database that there is, which a link may lead to."""
    path = "$(find /opt/web -type f -name data.db)"
    inode, *lines = shop.shell(f"stat -c %i {path}; cat {path}").splitlines()
    return int(inode), lines


def new_code(shop: Shop, hosts: tuple[int, ...] = (1,), **redeploy: object) -> None:
    """Code of the service that says so."""
    given = {**QUICK, "activation": None, "shared": SHARED, **redeploy}
    shop.set("web", hosts, **given)
    shop.file("web", "index.js").write_text(NOTES)
    shop.version("web", "new")


def require_adopted(shop: Shop, name: str = "web", host: int = 1) -> None:
    """The release serves; of the flat layout only the copy is left."""
    found = shop.facts(name, host)
    assert (found.layout, found.adopting, found.flat) == ("releases", False, ())
    assert (found.previous, "flat" in found.releases) == ("flat", True)
    assert found.unit.running_in == f"/opt/{name}/releases/{found.current}"
    left = shop.shell(f"ls -A /opt/{name}", host).split()
    assert set(left) <= set(OURS), left
    assert shop.shell(f"stat -c '%U:%G %a' /opt/{name}", host) == "root:root 755\n"
    assert "current" in shop.shell(f"cat /etc/systemd/system/{name}.service", host)


def require_notes(shop: Shop, host: int = 1) -> None:
    """The newer code serves with what the older one has written."""
    require_adopted(shop, host=host)
    assert notes(shop, host) == NEW
    assert shop.shell("cat '/opt/web/shared/uploads/a photo.jpg'", host) == "photo\n"
    assert shop.shell("stat -c '%U %a' /opt/web/shared/.env", host) == "appuser 600\n"


@contextmanager
def written_to(shop: Shop) -> Iterator[None]:
    """Hold the database open and append to it all the time; in the end no line may be missing."""
    inode, _ = data(shop)
    loop = 'exec 3>>"$1"; n=0; while sleep 0.05; do n=$((n+1)); echo "writer $n" >&3; done; exit 1'
    shop.shell(
        f"systemd-run -q --unit=writer --collect sh -c '{loop}' sh "
        "$(find /opt/web -type f -name data.db)"
    )
    try:
        yield
    finally:
        shop.shell("systemctl stop writer")
    now, lines = data(shop)
    written = [line for line in lines if line.startswith("writer ")]
    assert (now, lines[0]) == (inode, "first")
    assert written == [f"writer {n}" for n in range(1, len(written) + 1)]
    assert written
    assert all(re.fullmatch(r"first|writer \d+|app \d+ \d+", line) for line in lines)
