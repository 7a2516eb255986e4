"""How much a host may tell: it is a witness, and may be lying. Pure.

Each number has this one place. What is larger is not cut and used: the host counts as silent, or the step fails.
"""

from __future__ import annotations

MIB = 1024 * 1024

ANSWER_BYTES = 32 * MIB
"""What one script may print, both streams together: the names and digests of 150,000 files are 30 MB. With
all the hosts that are asked at once (16) it fits into a small machine."""

QUESTION_BYTES = 16 * MIB
"""What one question of a look may print. The host's own shell sees to it (ulimit -f), so that its /run, which
is memory, is not filled either."""

UNPACKED_BYTES = ANSWER_BYTES
"""What a compressed answer may become: the manifest of 150,000 files is 30 MB."""

LINE_BYTES = 16 * 1024
"""What is shown of one line of a build's or a hook's output."""

SHOWN_BYTES = 256 * MIB
"""What a build, an installation or a hook may print; none of it is kept in memory."""

SETTINGS_BYTES = 64 * 1024
"""A configuration of etcd's that is read as YAML; one that was rendered here has 2 KB."""


def snapshot_bytes(told: int) -> int:
    """How large a snapshot may be when the member has told the size of its database.

    It goes on growing until it is saved; what a member writes in that time is far below as much again.
    """
    return 2 * told + 64 * MIB
