"""What lies right in a service's directory, and what of it the service may have written. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping

from quoracy.hosts import bounded
from quoracy.hosts.question import Answer
from quoracy.services.layout import DERIVED
from quoracy.services.scripts_user import as_user
from quoracy.services.spec import Service, ServiceType
from quoracy.services.spec_fields import OURS

DATABASES = ("*.db", "*.sqlite", "*.sqlite3")
DIGESTS_S = 10
"""Seconds for reading, as its user, what may have been written: a host is not held up by gigabytes of uploads."""


def flat_question(service: Service) -> str:
    """Names of all files and links that are not ours, NUL after each; no process when there are none.

    Before the first switch also what may have been written by the service, and its digests.
    """
    ours = "|".join(OURS)
    pruned = _or(
        [*(f"-path './{name}'" for name in OURS), *(f"-name '{name}'" for name in DERIVED)]
    )
    return f"""cd {service.directory} && for f in * .[!.]* ..?*; do
case $f in {ours}|*.quoracy-new) continue ;; esac
[ -e "$f" ] || [ -L "$f" ] || continue
find . -mindepth 1 \\( {pruned} \\) -prune -o ! -type d -printf '%P\\0' | base64 -w0
{_written(service, pruned)}
break
done"""


def parse_flat(answer: Answer) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """All names, and the SHA-256 of what may have been written; "" where there was no time to read it."""
    names, written, digests = (_names(line) for line in f"{answer.text}\n\n\n".split("\n")[:3])
    told = {path: digest for digest, _, path in (row.partition("  ") for row in digests)}
    return tuple(sorted(names)), {path: told.get(path, "") for path in sorted(written)}


def _written(service: Service, pruned: str) -> str:
    """Files that are newer than the service's process, and databases; nginx writes none.

    A deployment ends with a restart, so what is newer was not deployed. systemd tells the start in
    whole seconds, and the deployment may have written in the same one.
    """
    if service.type is ServiceType.STATIC:
        return ":"
    shared = (f"-path {shlex.quote(f'./{_literal(one)}')}" for one in service.redeploy.shared)
    read = as_user(service.user, "xargs", "-0", "-r", "sha256sum", "-z", "--")
    databases = _or(f"-iname '{name}'" for name in DATABASES)
    return f"""[ -L current ] || {{
echo
start=$(TZ=UTC systemctl show --value -p ExecMainStartTimestamp {service.unit})
newer=
[ -z "$start" ] || ! start=$(date -d "$start" +%s) || newer="-newermt @$((start + 1)) -o"
written=$(find . -mindepth 1 \\( {_or([pruned, *shared])} \\) -prune -o -type f \\( $newer {databases} \\) \\
    -printf '%P\\0' | base64 -w0)
echo "$written"
echo "$written" | base64 -d | timeout {DIGESTS_S} {read} | base64 -w0
}}"""


def _or(tests: Iterable[str]) -> str:
    return " -o ".join(tests)


def _literal(path: str) -> str:
    """As a pattern of find(1) that means this path alone."""
    return re.sub(r"([*?\[\\])", r"\\\1", path)


def _names(encoded: str) -> list[str]:
    """NUL-terminated, in base64, any bytes in them; what was cut off in the middle does not count."""
    joined = bounded.unbase64(encoded).decode("utf-8", "surrogateescape")
    return joined.split("\0")[:-1]
