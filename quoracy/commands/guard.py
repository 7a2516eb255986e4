"""What every changing script does first: the cluster's lock on the host, and its fencing number.

The database knows one lease per cluster, but two controllers may have databases of their own, and a
paused controller may wake up in the middle of somebody else's operation. So the host itself keeps
the holder, the number and the time of the last changing script, under a lock, and refuses a lower
number, or another holder within the last minute (design, law 6).
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

# Exit codes; 75 is EX_TEMPFAIL of sysexits.h. Each of them says that nothing was done.
LOCK_BUSY, FENCED, HELD, OWN_BUSY = 75, 76, 77, 78
HOLD_SECONDS = 60
LOCK_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Guard:
    """Who acts on the cluster: presented to the host by each changing script.

    Attributes:
        successor_of: Holders, separated by spaces, that the database knows to act no more; a host
            that knows one of them last need not wait. Several, because the second of two processes
            that died may not have got to every host.
    """

    cluster: str
    holder: str
    fence: int
    successor_of: str = ""


def state_dir(cluster: str) -> str:
    """Directory on every host for lock, fence, journal and temporary files of the cluster."""
    return f"/var/lib/quoracy/{cluster}"


def guarded(guard: Guard, body: str, *, wait_s: int = LOCK_SECONDS) -> str:
    """The script, run only while holding the host's lock and only when not fenced off.

    The time is noted again at its end: a script may take longer than a hold lasts.

    Args:
        wait_s: Seconds to wait for the lock. `OWN_BUSY` says that a script of the same holder has it,
            whose connection broke, `LOCK_BUSY` that somebody else's has.
    """
    return f"""{_enter(guard, wait_s)}
remember() {{
    {_remember(guard, guard.holder, '"$(date +%s)"')}
}}
# On a full disk who is known already may still put back what he changed.
remember || [ "$seen_holder $seen_fence" = {shlex.quote(f"{guard.holder} {guard.fence}")} ]
trap 'remember 2>/dev/null || :' EXIT
{body}"""


def claimable(guard: Guard, *, wait_s: int) -> str:
    """Script that is refused wherever `guarded` would be, and notes nothing."""
    return f"{_enter(guard, wait_s)}\n"


def released(guard: Guard) -> str:
    """Script that says the holder has ended: the next one need not wait; the number stays.

    A host that knows another holder last is left alone: who was refused there must not raise the
    number under the one who acts.
    """
    return f"""{_enter(guard, LOCK_SECONDS)}
[ "$seen_holder" = {shlex.quote(guard.holder)} ] || exit 0
{_remember(guard, "-", "0")}
"""


def settled(cluster: str, wait_s: int) -> str:
    """Script that ends when no script of an operation runs on the host any more; changes nothing.

    Args:
        wait_s: Seconds after which it gives up, with a non-zero exit code.
    """
    lock = shlex.quote(f"{state_dir(cluster)}/lock")
    return f"[ ! -e {lock} ] || flock -s -w {wait_s} {lock} true\n"


def _remember(guard: Guard, holder: str, time_s: str) -> str:
    fence = shlex.quote(f"{state_dir(guard.cluster)}/fence")
    line = f"printf '%s %s %s\\n' {shlex.quote(holder)} {guard.fence} {time_s}"
    return f"{line} > {fence}.new && mv -f {fence}.new {fence}"


def _enter(guard: Guard, wait_s: int) -> str:
    directory = shlex.quote(state_dir(guard.cluster))
    holder = shlex.quote(guard.holder)
    dead = shlex.quote(f" {guard.successor_of} ")
    own = shlex.quote(f"{guard.fence} {guard.holder}")
    return f"""set -eu
mkdir -p -m 0700 {directory}
exec 9>>{directory}/lock
flock -w {wait_s} 9 || {{
    read -r holder rest < {directory}/fence || :
    [ "${{holder:-}}" = {holder} ] && exit {OWN_BUSY}
    exit {LOCK_BUSY}
}}
seen_holder='' seen_fence=0 seen_time=0
if [ -s {directory}/fence ]; then
    read -r seen_holder seen_fence seen_time < {directory}/fence
fi
now=$(date +%s)
# An equal number is only its holder's: two databases may give the same one.
[ "$seen_fence" -lt {guard.fence} ] || [ "$seen_fence $seen_holder" = {own} ] \\
    || {{ echo "fenced: $seen_holder $seen_fence" >&2; exit {FENCED}; }}
age=$((now - seen_time))
case {dead} in
    *" $seen_holder "*) ;;
    *)
        if [ -n "$seen_holder" ] && [ "$seen_holder" != {holder} ] \
            && [ "$age" -lt {HOLD_SECONDS} ] && [ "$age" -gt -{HOLD_SECONDS} ]; then
            echo "held: $seen_holder $seen_fence" >&2
            exit {HELD}
        fi ;;
esac"""
