"""The words that operations on etcd take as parameters; imports nothing, as command lines are completed with it."""

from __future__ import annotations

from enum import StrEnum


class Action(StrEnum):
    """What the caller expects to find."""

    CREATE = "create"
    UPGRADE = "upgrade"
    DEPLOY = "deploy"


class DeployOption(StrEnum):
    """How a deploy may differ from doing what is needed."""

    NO_UPGRADE = "no_upgrade"
    FORCE_CREATE = "force_create"
