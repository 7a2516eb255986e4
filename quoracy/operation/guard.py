"""What every changing script does first: the cluster's lock on the host, and its fencing number.

The database knows one lease per cluster, but two controllers may have databases of their own, and a
paused controller may wake up in the middle of somebody else's operation. So the host itself keeps
the holder, the number and the time of the last changing script, under a lock, and refuses a lower
number, or another holder within the last minute (design, law 6).
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

# Exit codes; 75 is EX_TEMPFAIL of sysexits.h. Each of them says that nothing was done.
LOCK_BUSY, FENCED, HELD, OWN_BUSY, UNREADABLE = 75, 76, 77, 78, 79
HOLD_SECONDS = 60
LOCK_SECONDS = 20
ENDED = "-"
"""Before the holder's name once he has ended; alone when nobody knows his name."""
DIGITS = 15
"""Of a number on a host: far from where the shell's and the database's arithmetic ends (2^63), and more than
operations can have been."""
REACH = 1_000_000
"""How far a host's number may be above the database's: more operations than one subject will ever see, and
each host that is asked adds at most one."""


@dataclass(frozen=True, slots=True)
class Guard:
    """Who acts on the cluster: presented to the host by each changing script.

    Attributes:
        fence: The lease's number.
        successor_of: Holders, separated by spaces, that the database knows to act no more; a host
            that knows one of them last need not wait. Several, because the second of two processes
            that died may not have got to every host.
        seen: The number that each host had seen when the lease was taken.
    """

    cluster: str
    holder: str
    fence: int
    successor_of: str = ""
    seen: Mapping[str, int] = field(default_factory=dict)

    def on(self, host: str) -> Guard:
        """As it is presented to one host: above what that one has seen, whatever others say."""
        return replace(self, fence=max(self.fence, self.seen.get(host, 0) + 1), seen={})


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
    """Script that says the holder has ended: the next one need not wait; name and number stay.

    A host that knows another holder last is left alone: who was refused there must not raise the
    number under the one who acts.
    """
    return f"""{_enter(guard, LOCK_SECONDS)}
[ "$seen_holder" = {shlex.quote(guard.holder)} ] || exit 0
{_remember(guard, f"{ENDED}{guard.holder}", "0")}
"""


def renumbered(guard: Guard) -> str:
    """Script that gives the host the guard's number, when its own is far above or cannot be read.

    What the host had noted is moved aside, and its first line goes to standard output; nothing does when
    there is no reason to. Whoever has acted within the last minute keeps the host: of a note that
    cannot be read its time on the disk tells.
    """
    directory = shlex.quote(state_dir(guard.cluster))
    fence = f"{directory}/fence"
    return f"""{_locked(guard, LOCK_SECONDS)}
{_NUMBER}
seen_holder='' seen_fence=0 seen_time=0 said=''
[ -e {fence} ] || [ -L {fence} ] || exit 0
if {_understood(fence)}; then
    [ "$seen_fence" -gt {guard.fence + REACH} ] || exit 0
    said="$seen_holder $seen_fence $seen_time"
    case $seen_holder in {ENDED}*) seen_time=0 ;; esac
else
    said='no file'
    [ ! -f {fence} ] || [ -L {fence} ] || said=$(head -c 200 {fence} 2>/dev/null | head -n 1) || :
    seen_holder=unknown seen_time=$(stat -c %Y {fence})
fi
age=$(($(date +%s) - seen_time))
if [ "$age" -lt {HOLD_SECONDS} ] && [ "$age" -gt -{HOLD_SECONDS} ]; then
    echo "held: $seen_holder $seen_fence" >&2
    exit {HELD}
fi
mv -f -T {fence} "{directory}/fence.aside-$(date +%s)"
{_remember(guard, ENDED, "0")}
printf '%s\\n' "noted there: $said"
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
    return f"[ ! -L {fence}.new ] && {line} > {fence}.new && mv -f -T {fence}.new {fence}"


# Whether $1 is a number: the shell's arithmetic takes other words, and numbers beyond 2^63, for something else.
_NUMBER = f"""is_number() {{
    case $1 in 0|[1-9]*) ;; *) return 1 ;; esac
    case $1 in *[!0-9]*|{"?" * (DIGITS + 1)}*) return 1 ;; esac
}}"""


def _understood(fence: str) -> str:
    """Condition that reads holder, number and time; false of all but one line of these three."""
    return (
        f"[ -f {fence} ] && [ ! -L {fence} ] && read -r seen_holder seen_fence seen_time rest < {fence} "
        '&& [ -z "$rest" ] && is_number "$seen_fence" && is_number "$seen_time"'
    )


def _locked(guard: Guard, wait_s: int) -> str:
    directory = shlex.quote(state_dir(guard.cluster))
    holder = shlex.quote(guard.holder)
    return f"""set -eu
mkdir -p -m 0700 {directory}
exec 9>>{directory}/lock
flock -w {wait_s} 9 || {{
    [ ! -f {directory}/fence ] || read -r holder rest < {directory}/fence || :
    [ "${{holder:-}}" = {holder} ] && exit {OWN_BUSY}
    exit {LOCK_BUSY}
}}"""


def _enter(guard: Guard, wait_s: int) -> str:
    fence = shlex.quote(f"{state_dir(guard.cluster)}/fence")
    holder = shlex.quote(guard.holder)
    dead = shlex.quote(f" {guard.successor_of} ")
    own = shlex.quote(f"{guard.fence} {guard.holder}")
    return f"""{_locked(guard, wait_s)}
{_NUMBER}
seen_holder='' seen_fence=0 seen_time=0
# A crash of the host may leave it empty.
if [ -s {fence} ] || [ -L {fence} ] || {{ [ -e {fence} ] && [ ! -f {fence} ]; }}; then
    {_understood(fence)} || {{ echo "what {fence} says cannot be read" >&2; exit {UNREADABLE}; }}
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
