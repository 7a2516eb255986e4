"""What a member's own log says of why it ended. Pure.

etcd writes a fatal error or a panic as one line of JSON (zap), and after a panic Go writes the same
again as text, with stacks of all goroutines: the last lines of a log rarely are the cause.
"""

from __future__ import annotations

import json

from quoracy.hosts.bounded import one_line

LAST_LINES = 8
MAX_CHARS = 600
_REFUSAL = "quoracy: refusing to start "
_ENDINGS = ("fatal", "panic", "dpanic")
_ASIDE = ("level", "ts", "caller", "msg", "error", "stacktrace")


def cause_of_end(log: str) -> str:
    """Why the member ended, in one line of at most 600 characters; "" when its log does not say.

    Args:
        log: Lines as `journalctl -o cat` prints them, oldest first.
    """
    causes = [cause for line in log.splitlines() if (cause := _cause(line.strip()))]
    # The text of a panic repeats the line of JSON before it, which says more.
    said = [cause for cause in causes if not cause.startswith("panic: ")] or causes
    return one_line(said[-1], MAX_CHARS) if said else ""


def last_lines(log: str) -> str:
    """The last lines of a log, for where no cause is known."""
    return "\n".join(one_line(line, MAX_CHARS) for line in log.strip().split("\n")[-LAST_LINES:])


def _cause(line: str) -> str:
    if line.startswith((_REFUSAL, "panic: ")):
        return line.removeprefix("quoracy: ")
    if not line.startswith("{"):
        return ""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(entry, dict) or entry.get("level") not in _ENDINGS:
        return ""
    more = ", ".join(f"{key} {value}" for key, value in entry.items() if key not in _ASIDE)
    said = ": ".join(str(entry[key]) for key in ("msg", "error") if key in entry)
    return f"{said} ({more})" if more else said
