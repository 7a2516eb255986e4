"""`quoracy service`: bring code to the hosts that run it, go back, and see what runs where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from quoracy.cli.options import AsJson, DryRun, Submit, WithoutPrefect
from quoracy.cli.screen import Console, say
from quoracy.cli.service_options import (
    All,
    Force,
    HostOption,
    Lines,
    NoBuild,
    Project,
    ServiceName,
    ServiceOrAll,
    To,
    Verify,
)
from quoracy.errors import UsageError

service_app = typer.Typer(no_args_is_help=True)


@service_app.command()
def redeploy(
    name: ServiceOrAll = None,
    all_: All = False,
    no_build: NoBuild = False,
    force: Force = False,
    dry_run: DryRun = False,
    verify: Verify = False,
    project: Project = Path(),
    submit: Submit = False,
    without_prefect: WithoutPrefect = False,
    as_json: AsJson = False,
) -> None:
    """Bring a service's code to its hosts, or that of --all.

    What has not changed is left alone. The first host is switched alone; a release that does not
    become healthy is put back. Exit code 0 done or nothing to do, 1 failed, 2 usage, 3 refused, 4
    changes pending.
    """
    from quoracy.cli.run_operation import Way

    flags = {"no_build": no_build, "force": force, "dry_run": dry_run, "verify": verify}
    # What changes nothing needs no server, and shows its plan right here.
    way = Way(submit, without_prefect or (dry_run and not submit), as_json)
    if (name is None) is not all_:
        raise UsageError(
            "there must be the name of a service, or --all, and not both",
            next_step="`quoracy service list` shows the services",
        )
    if name is None:
        from quoracy.cli.service_all import redeploy_all

        raise redeploy_all(project, flags, way)
    raise _redeploy(name, project, flags, way)


def _redeploy(name: str, project: Path, flags: dict[str, bool], way: Any) -> typer.Exit:
    from quoracy.cli.run_operation import run_operation

    parameters: dict[str, Any] = {"service": name, "project": _absolute(project), **flags}

    def open_plainly(home: Any) -> Any:
        from quoracy.services.redeploy import Wanted, open_service_redeploy

        return open_service_redeploy(Wanted(**parameters), home)

    return run_operation(
        "service-redeploy",
        parameters,
        way,
        open_plainly,
        lambda: _require_code(parameters["project"], name),
    )


@service_app.command()
def rollback(
    name: ServiceName,
    to: To = "",
    project: Project = Path(),
    dry_run: DryRun = False,
    submit: Submit = False,
    without_prefect: WithoutPrefect = False,
    as_json: AsJson = False,
) -> None:
    """Go back to the release that served before, or to the one that --to names.

    The release is on the hosts already: nothing is built or sent. Exit code 0 done or nothing to
    do, 1 failed, 2 usage, 3 refused, 4 changes pending.
    """
    from quoracy.cli.run_operation import Way, run_operation

    directory = _absolute(project)
    parameters = {"service": name, "project": directory, "to": to, "dry_run": dry_run}

    def open_plainly(home: Any) -> Any:
        from quoracy.services.rollback import RollbackWanted, open_service_rollback

        return open_service_rollback(RollbackWanted(name, directory, to, dry_run), home)

    raise run_operation(
        "service-rollback",
        parameters,
        # Looking needs no server.
        Way(submit, without_prefect or (dry_run and not submit), as_json),
        open_plainly,
        lambda: _require_code(directory, name),
    )


def _absolute(project: Path) -> str:
    """The same project for whoever runs the flow, in whichever working directory."""
    from quoracy.services.project import project_root

    return str(project_root(project))


def _require_code(project: str, name: str) -> None:
    """Read the config before anything else is asked, and say what is odd about it."""
    from quoracy.services.project import load_code_service

    show_warnings(load_code_service(project, name).warnings)


def show_warnings(warnings: tuple[str, ...]) -> None:
    """What is odd about a config, on standard error: standard output may be JSON."""
    console = Console(stderr=True)
    for warning in warnings:
        console.print("warning:", style="yellow", end=" ")
        console.print(warning, markup=False, highlight=False, soft_wrap=True)


@service_app.command("list")
def list_(project: Project = Path(), as_json: AsJson = False) -> None:
    """List the services of the project; a broken config is listed with what is wrong."""
    from quoracy.cli.service_tables import found_row, show_found
    from quoracy.cli.show import show_json
    from quoracy.services.project import find_services

    rows = [found_row(one) for one in find_services(project)]
    if as_json:
        show_json(rows)
    else:
        show_found(rows, Console())


@service_app.command()
def status(name: ServiceName, project: Project = Path(), as_json: AsJson = False) -> None:
    """Show what runs on each host.

    Asks every host. Exit code 1 when the service does not run everywhere from its current release.
    """
    from quoracy.cli.service_tables import show_status, status_row
    from quoracy.cli.show import show_json

    service, facts = _look(name, project)
    rows = [status_row(service, host, found) for host, found in facts.items()]
    if as_json:
        show_json({"service": service.name, "hosts": rows})
    else:
        show_status(service, rows, Console())
    raise typer.Exit(0 if all(row["well"] for row in rows) else 1)


@service_app.command()
def releases(name: ServiceName, project: Project = Path(), as_json: AsJson = False) -> None:
    """Show the releases on each host, newest first: what `rollback --to` can go to.

    Asks every host. Exit code 1 when one does not answer.
    """
    from quoracy.cli.service_tables import release_rows, show_releases, show_strange, strange_of
    from quoracy.cli.show import show_json

    service, facts = _look(name, project)
    rows, silent = release_rows(facts)
    strange = strange_of(facts)
    if as_json:
        show_json(
            {"service": service.name, "releases": rows, "silent": silent, "not_ours": strange}
        )
    else:
        show_releases(service, rows, silent, Console())
        show_strange(service, strange, Console())
    raise typer.Exit(1 if silent else 0)


@service_app.command()
def logs(
    name: ServiceName, host: HostOption = "", lines: Lines = 50, project: Project = Path()
) -> None:
    """Show the last lines that the service has written to the journal of its hosts."""
    from quoracy.home import load_home
    from quoracy.services.look import service_logs
    from quoracy.services.project import load_code_service
    from quoracy.specs.document import printed

    loaded = load_code_service(_absolute(project), name)
    many = not host and len(loaded.service.hosts) > 1
    for where, line in service_logs(loaded, load_home(), host, lines):
        # A service may write what would move the cursor or rename the window.
        say(printed(f"{where}: {line}" if many else line))


@service_app.command()
def schema() -> None:
    """Print the JSON schema of service-config.yml, for editors.

    For yaml-language-server: `quoracy service schema > service-config.schema.json`, and in the file
    `# yaml-language-server: $schema=../../service-config.schema.json`.
    """
    from quoracy.cli.show import show_json
    from quoracy.services.spec_keys import service_schema

    show_json(service_schema())


def _look(name: str, project: Path) -> tuple[Any, Any]:
    """The service, and what each of its hosts says."""
    from quoracy.home import load_home
    from quoracy.services.look import look_at_service
    from quoracy.services.project import load_code_service

    loaded = load_code_service(_absolute(project), name)
    show_warnings(loaded.warnings)
    return loaded.service, look_at_service(loaded, load_home())
