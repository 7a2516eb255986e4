"""The kinds of values that spec files hold, each with the words in which a wrong one is refused.

Whatever passes here may go into a script, a unit, a configuration file or a certificate, and means
one thing there.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    model_validator,
)

_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_NUMBER = "(0|[1-9][0-9]{0,8})"
# A member's directory is given to etcd's user, so none of these may be one, nor lie in one of the others.
# fmt: off
_SYSTEM = frozenset((
    "/boot/efi", "/etc/ssh", "/etc/ssl", "/etc/systemd", "/etc/systemd/system", "/usr/bin",
    "/usr/lib", "/usr/local", "/usr/local/bin", "/usr/sbin", "/usr/share", "/var/backups",
    "/var/cache", "/var/lib", "/var/lib/quoracy", "/var/local", "/var/log", "/var/mail",
    "/var/opt", "/var/spool",
    # At top level: the Filesystem Hierarchy Standard 3.0, and what distributions add to it.
    "/bin", "/boot", "/etc", "/home", "/lib", "/lib32", "/lib64", "/libx32", "/media", "/mnt",
    "/nix", "/opt", "/root", "/sbin", "/snap", "/srv", "/usr", "/var",
))
# fmt: on
RECORDED = {"recorded": True}
"""Context of a validation: what an earlier version has recorded is read by that version's rules

about paths. Hosts run with it, and a member's directories cannot be moved afterwards.
"""
_NOT_KEPT = ("/dev", "/proc", "/run", "/sys", "/tmp", "/var/run", "/var/tmp")  # noqa: S108  refused


class Model(BaseModel):
    """Base of the spec models: immutable; a misspelt key or another type is an error."""

    # Strict: without it `client: true` means port 1, and "2379" is taken for a number.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _unset(cls, data: Any) -> Any:
        """A key without a value, as `ssh:` alone, is as good as absent."""
        if not isinstance(data, dict):
            return data
        return {k: v for k, v in data.items() if v is not None or k not in cls.model_fields}


class Misplaced(ValueError):
    """A rule between several fields is broken.

    Args:
        what: What is wrong.
        at: Path of the field to point at, from the model that raises it.
    """

    def __init__(self, what: str, at: Sequence[str | int]) -> None:
        super().__init__(what)
        self.at = tuple(at)


def is_recorded(info: ValidationInfo) -> bool:
    """Whether the spec comes from the database, so that new rules about paths do not hold."""
    return bool((info.context or {}).get("recorded"))


def place_of(detail: Mapping[str, Any]) -> tuple[str | int, ...]:
    """Path of the field that one of pydantic's error details is about."""
    reason = detail.get("ctx", {}).get("error")
    return (*detail["loc"], *getattr(reason, "at", ()))


def _ip(value: str) -> str:
    """One spelling per address, so that it compares with certificates and member lists."""
    try:
        # A zone (fe80::1%eth0) may hold any characters, and no certificate can cover it.
        found = ipaddress.ip_address("" if "%" in value else value)
    except ValueError:
        raise ValueError("must be an IP address without a zone: etcd listens on no names") from None
    if isinstance(found, ipaddress.IPv6Address):
        found = found.ipv4_mapped or found
    if found.is_unspecified or found.is_multicast or str(found) == "255.255.255.255":
        raise ValueError("must be the address of one host")
    return str(found)


def address(value: str) -> str:
    """An IP address in its canonical form, as certificates hold it, or a DNS name."""
    with suppress(ValueError):
        return _ip(value)
    # Names do not end in a number (RFC 1123): 300.1.1.1 is a mistyped address.
    is_name = re.fullmatch(rf"({_LABEL}\.)*(?![0-9]+$){_LABEL}", value)
    if not is_name or len(value) > 253:
        raise ValueError("is neither an IP address nor a DNS name")
    return value


def _directory(value: str, info: ValidationInfo) -> str:
    if len(PurePosixPath(value).parts) < 3:
        raise ValueError("must be an absolute path at least two levels deep, without '..'")
    return _mount(value, info)


def _mount(value: str, info: ValidationInfo) -> str:
    path = PurePosixPath(value)
    if not path.is_absolute() or ".." in path.parts or len(path.parts) < 2:
        raise ValueError("must be an absolute path, without '..'")
    if not re.fullmatch(r"[A-Za-z0-9._/-]+", value) or len(value) > 200:
        raise ValueError(
            "may hold letters, digits, '.', '_', '-' and '/' only, at most 200 of them"
        )
    # POSIX lets a leading "//" mean something else; nothing here does.
    plain = f"/{str(path).lstrip('/')}"
    of_system = plain in _SYSTEM or any(within(plain, place) for place in _NOT_KEPT)
    if of_system and not is_recorded(info):
        raise ValueError("must be a directory of its own that outlives a reboot, not the system's")
    return plain


def within(path: str, directory: str) -> bool:
    """Whether a path is the directory or lies in it."""
    return path == directory or path.startswith(f"{directory}/")


def _local_path(value: str, info: ValidationInfo) -> str:
    if is_recorded(info):
        return printable(value)
    home = (info.context or {}).get("home", "~")
    path = f"{home}{value[1:]}" if value.startswith("~/") else value
    # The command, the worker and a schedule all read it, each from another working directory.
    if not PurePosixPath(path).is_absolute():
        raise ValueError("must be an absolute path on the controller, or begin with ~/")
    if ".." in PurePosixPath(path).parts:
        raise ValueError("must not hold '..'")
    return printable(path)


def _as_text(value: Any) -> Any:
    """A bare number is taken for its text, as `memory_max: 8589934592`."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def printable(value: str) -> str:
    """A text without line breaks, control characters and characters that turn the writing around."""
    if not value.isprintable():
        raise ValueError("holds characters that cannot be printed")
    return value


def _extra_value(value: Any) -> Any:
    """What stands in etcd's configuration file must be one value there and readable here."""
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, str):
            printable(item)
        if isinstance(item, int) and not 0 <= item < 2**63:
            raise ValueError("must be between 0 and 9223372036854775807")
    return value


Name = Annotated[str, StringConstraints(pattern=r"^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$")]
# Certificates name "<host>-server" as their subject, which has room for 64 characters.
HostName = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$", max_length=57
    ),
]
Version = Annotated[str, StringConstraints(pattern=rf"^{_NUMBER}\.{_NUMBER}\.{_NUMBER}$")]
IpAddress = Annotated[str, AfterValidator(_ip)]
Address = Annotated[str, AfterValidator(address)]
Directory = Annotated[str, AfterValidator(_directory)]
# etcd keeps its log below it, so that it may be a mount at top level.
LogParent = Annotated[str, AfterValidator(_mount)]
Port = Annotated[int, Field(ge=1, le=65535)]
LocalPath = Annotated[
    str, StringConstraints(min_length=1, max_length=1000), AfterValidator(_local_path)
]
Login = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_.-]{0,31}$")]
Retention = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,12}[smh]?$")]
# systemd.resource-control(5); it ignores a value that it cannot read, with a line in the journal.
MemoryMax = Annotated[
    str,
    StringConstraints(
        pattern=r"^([1-9][0-9]{0,14}[KMGT]?|([1-9][0-9]{0,5}\.[0-9]{1,3}|0\.[0-9]{0,2}[1-9])[KMGT]"
        r"|[1-9][0-9]?%|100%|infinity)$"
    ),
    BeforeValidator(_as_text),
]
CpuQuota = Annotated[
    str, StringConstraints(pattern=r"^[1-9][0-9]{0,5}%$"), BeforeValidator(_as_text)
]
# Without credentials: they would stand in the database, in errors and in process lists.
Url = Annotated[
    str,
    StringConstraints(
        pattern=r"^https?://[A-Za-z0-9.:_\[\]-]+(/[A-Za-z0-9._~%/+-]*)?$", max_length=1000
    ),
]
Bucket = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
Prefix = Annotated[
    str, StringConstraints(pattern=r"^([A-Za-z0-9_-][A-Za-z0-9._-]*/?)*$", max_length=500)
]
Region = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
SecretRef = Annotated[
    str,
    StringConstraints(pattern=r"^(env|file|block):.+$", max_length=1000),
    AfterValidator(printable),
]
ExtraValue = Annotated[Any, AfterValidator(_extra_value)]

PATTERN_WORDS: dict[str | re.Pattern[str], str] = {}
"""What the values of a field are, in words, by the pattern that they match."""


def describe(words: Mapping[Any, str]) -> None:
    """Say in words what values are, for mistakes: by type, whose pattern nobody would want to read."""
    for kind, text in words.items():
        for constraint in kind.__metadata__:
            if isinstance(constraint, StringConstraints) and constraint.pattern:
                PATTERN_WORDS[constraint.pattern] = text


describe(
    {
        Name: "lower-case letters, digits and '-', a letter first, at most 40",
        HostName: "lower-case letters, digits, '-' and '.', as in a DNS name",
        Version: "three numbers like 3.5.16, without a v",
        Login: "a login: lower-case letters, digits, '.', '_' and '-'",
        Retention: "a number, with s, m or h behind it when it is a time",
        MemoryMax: "bytes like 8G or 1.5G, a share like 50%, or infinity",
        CpuQuota: "a share of one CPU with % behind it: 150% is one and a half CPUs",
        Url: "http:// or https://, a host and a path, without credentials and query",
        Bucket: "3 to 63 lower-case letters, digits, '-' and '.'",
        Prefix: "names of letters, digits, '.', '_' and '-', with '/' between them",
        Region: "letters, digits, '_' and '-'",
        SecretRef: "a reference: env:NAME, file:/path or block:NAME; never the secret itself",
    }
)
