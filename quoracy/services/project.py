"""The services of a project: `deployments/<service>/service-config.yml`, and the code they name."""

from __future__ import annotations

import difflib
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from quoracy.errors import QuoracyError, UsageError
from quoracy.hosts.targets import ssh_targets
from quoracy.services.spec import Service, ServiceType
from quoracy.services.spec_fields import is_service_name
from quoracy.services.spec_parse import parse_service
from quoracy.specs.document import SERVICE, printed
from quoracy.specs.file import read_spec

DIRECTORY = "deployments"
FILES = ("service-config.yml", "service-config.yaml")


@dataclass(frozen=True, slots=True)
class LoadedService:
    """A service of a project, as its file wants it.

    Attributes:
        warnings: What is odd about the file, a line each.
        source: Where its code lies; absolute, and perhaps missing.
        config: The file that says so.
        digest: SHA-256 of the file's text, in hexadecimal.
    """

    service: Service
    warnings: tuple[str, ...]
    project: Path
    source: Path
    config: Path
    digest: str


@dataclass(frozen=True, slots=True)
class FoundService:
    """A service that a project has a directory for; one of `loaded` and `error` is None."""

    name: str
    config: Path
    loaded: LoadedService | None
    error: QuoracyError | None


def find_services(project: Path) -> list[FoundService]:
    """All services of a project by name; one that cannot be used has its error.

    Raises:
        UsageError: The directory is no project.
    """
    found = [_found(project, name) for name in service_names(project)]
    loaded = [one.loaded for one in found if one.loaded is not None]
    return [_apart(one, loaded) for one in found]


def load_service(
    project: Path, name: str, environ: Mapping[str, str] = os.environ
) -> LoadedService:
    """Read what is wanted of one service.

    Raises:
        UsageError: The directory is no project, there is no such service, its file cannot be used,
            or another service has the same place on a host.
    """
    names = service_names(project)
    if name not in names:
        raise _unknown(project, name, names)
    loaded = _load(project, name, environ)
    require_apart(loaded, _meeting(loaded, names, environ))
    return loaded


def _load(project: Path, name: str, environ: Mapping[str, str]) -> LoadedService:
    _require_name(project, name)
    config = _config(project_root(project) / DIRECTORY / name)
    text = read_spec(config, SERVICE)
    home = environ.get("HOME", "~")
    parsed = parse_service(text, source=printed(str(config)), home=home)
    return LoadedService(
        service=parsed.service,
        warnings=parsed.warnings,
        project=project_root(project),
        source=_source(config.parent, parsed.service, home),
        config=config,
        digest=hashlib.sha256(text.encode()).hexdigest(),
    )


def load_code_service(project: str | Path, name: str) -> LoadedService:
    """The same for a service that carries code of the user's.

    Raises:
        UsageError: As `load_service`, and for infrastructure.
    """
    loaded = load_service(Path(project), name)
    if not loaded.service.carries_code:
        raise UsageError(
            f"{name} is a {loaded.service.type} service: it carries no code to redeploy",
            where=str(loaded.config),
            next_step="redeploy nodejs, python, golang and static services",
        )
    return loaded


def service_names(project: Path) -> list[str]:
    """Names of the services that a project has files for, sorted.

    Raises:
        UsageError: The directory is no project.
    """
    root = project_root(project)
    try:
        with os.scandir(root / DIRECTORY) as entries:
            return sorted(one.name for one in entries if _has_config(Path(one.path)))
    except OSError as error:
        raise UsageError(
            f"there are no services: {DIRECTORY} cannot be read: {error.strerror}",
            where=printed(str(root)),
            next_step=f"name a project with --project; each of its services has a "
            f"{DIRECTORY}/<service>/{FILES[0]}",
        ) from None


def require_source(loaded: LoadedService) -> Path:
    """Where the code lies.

    Raises:
        UsageError: There is no such directory.
    """
    if not os.path.isdir(loaded.source):  # noqa: PTH112  Path.is_dir() fails for long names
        raise UsageError(
            f"{printed(str(loaded.source))} is no directory, so there is no code",
            where=str(loaded.config),
            next_step="correct local_app_path; it is taken from the directory of this file",
        )
    return loaded.source


def project_root(project: Path) -> Path:
    """The project's directory, however it was named; links in it count."""
    return Path(os.path.abspath(project))  # noqa: PTH100  Path.absolute() keeps ".."


def _found(project: Path, name: str) -> FoundService:
    config = project_root(project) / DIRECTORY / name / FILES[0]
    try:
        loaded = _load(project, name, os.environ)
    except QuoracyError as error:
        return FoundService(name, config, None, error)
    return FoundService(name, loaded.config, loaded, None)


def _apart(found: FoundService, loaded: Sequence[LoadedService]) -> FoundService:
    """The same, or with the error that it is in the way of another one."""
    if found.loaded is None:
        return found
    try:
        require_apart(found.loaded, loaded)
    except UsageError as error:
        return FoundService(found.name, found.config, None, error)
    return found


def _meeting(
    loaded: LoadedService, names: Sequence[str], environ: Mapping[str, str]
) -> Iterator[LoadedService]:
    """The other services of the project that may have the same place; those that cannot be used are left out.

    Only files that hold one of its names are parsed: that takes longer than reading them.
    """
    service = loaded.service
    words = {PurePosixPath(service.directory).name, service.unit.removesuffix(".service")}
    for name in names:
        directory = loaded.project / DIRECTORY / name
        if name == service.name or not is_service_name(name):
            continue
        try:
            text = read_spec(_config(directory), SERVICE)
            if name in words or any(word in text for word in words):
                yield _load(loaded.project, name, environ)
        except QuoracyError:
            continue  # said when that service is loaded


def _has_config(directory: Path) -> bool:
    return any(os.path.lexists(directory / file) for file in FILES)


def _config(directory: Path) -> Path:
    """The one file of the two names; which of two counts must not be guessed."""
    found = [directory / file for file in FILES if os.path.lexists(directory / file)]
    if len(found) > 1:
        raise UsageError(
            f"there are both {FILES[0]} and {FILES[1]}",
            where=str(directory),
            next_step="keep one of the two",
        )
    return found[0]


def _require_name(project: Path, name: str) -> None:
    if not is_service_name(name):
        raise UsageError(
            f"the name of the directory {printed(name)[:60]!r} cannot be a service's: letters, "
            "digits, '-' and '_', a letter or digit first and last, at most 50",
            where=str(project_root(project) / DIRECTORY),
            next_step="rename the directory",
        )


def _unknown(project: Path, name: str, names: list[str]) -> UsageError:
    near = difflib.get_close_matches(Path(name[-60:]).name, names, n=3)
    known = f"did you mean {', '.join(near)}?" if near else "`quoracy service list` shows them"
    return UsageError(
        f"there is no service {printed(name)[:60]!r}",
        where=printed(str(project_root(project))),
        next_step=known if names else f"make {DIRECTORY}/<service>/{FILES[0]}",
    )


def _source(directory: Path, service: Service, home: str) -> Path:
    """Where the code lies: from the file's directory, as the original takes it."""
    named = service.source or f"../../services/{service.name}"
    path = f"{home}{named[1:]}" if named.startswith("~/") else named
    # Unlike Path.resolve() it does not fail when links lead in a circle.
    return Path(os.path.realpath(directory / path))


def require_apart(loaded: LoadedService, others: Iterable[LoadedService]) -> None:
    """Compare a service with the others of its project; addresses are compared as they are written.

    Raises:
        UsageError: Another one that carries code has its directory or its unit on the same host.
    """
    service = loaded.service
    for other in others:
        shared = _machines(service).keys() & _machines(other.service).keys()
        if other.config == loaded.config or not shared:
            continue
        same = _same_place(service, other.service)
        if same:
            what, key = same
            address = _machines(service)[min(shared)]
            raise UsageError(
                f"{service.name} and {other.service.name} have the same {what} on {address}",
                where=printed(str(loaded.config)),
                next_step=f"give one of the two another {key}; the other one's file is "
                f"{printed(str(other.config))}",
            )


def _machines(service: Service) -> dict[tuple[str, int, str], str]:
    """Address by what tells machines apart: the same one behind another gateway is another machine."""
    if not service.carries_code:
        return {}
    return {
        (one.address, one.port, one.gateway.address if one.gateway else ""): one.address
        for one in ssh_targets(service, default_known_hosts="")
    }


def _same_place(one: Service, other: Service) -> tuple[str, str] | None:
    """What both have, and the key that would change it; nginx serves many."""
    if one.directory == other.directory:
        return f"directory {one.directory}", "app_dir"
    if one.unit == other.unit and one.type is not ServiceType.STATIC:
        return f"unit {one.unit}", "app_service_name"
    return None
