"""What is wanted of one service: the model behind `deployments/<service>/service-config.yml`.

The keys of the original are read as they are: those at top level, and `redeploy`. `hosts`, `ssh` and
the other keys of `redeploy` are ours.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from quoracy.hosts.targets import Ssh
from quoracy.operation.subject import Subject
from quoracy.services.spec_fields import (
    Command,
    Inside,
    ServiceName,
    Source,
    Variable,
    VariableName,
    WebPath,
    Where,
    apart,
    not_made,
)
from quoracy.specs.fields import Address, Directory, HostName, Login, Misplaced, Model, Port

MAX_HOSTS = 200
MAX_PATHS = 200
MAX_VARIABLES = 50


class ServiceType(StrEnum):
    """What a service is made of; the last three carry no code of the user's."""

    NODEJS = "nodejs"
    PYTHON = "python"
    GOLANG = "golang"
    STATIC = "static"
    DATABASE = "database"
    TOR_PROXY = "tor-proxy"
    SIGNAL_API = "signal-api"


INFRASTRUCTURE = frozenset({ServiceType.DATABASE, ServiceType.TOR_PROXY, ServiceType.SIGNAL_API})


class ServiceHost(Model):
    """A host that runs the service."""

    name: HostName = Field(description="Name of the host, in plans and history.")
    address: Address = Field(description="Where SSH reaches it.")
    ssh: Ssh = Field(default_factory=Ssh)


def _reached(host: ServiceHost) -> tuple[str, int | None]:
    return host.address, host.ssh.port


class Redeploy(Model):
    """How the service's code is brought to its hosts."""

    health_check_timeout: int = Field(
        30, ge=1, le=600, description="Seconds within which the new release must be healthy."
    )
    health_check_successes: int = Field(
        3, ge=1, le=20, description="How many answers 2xx in a row make it healthy."
    )
    health_check_stable: int = Field(
        3, ge=0, le=300, description="Seconds that it must stay so: one may start and die at once."
    )
    health_check_host: HostName | None = Field(
        None, description="What the question calls the server, as with several virtual hosts."
    )
    skip_build: bool = Field(False, description="Do not build, as with --no-build.")
    pre_deploy_hook: Inside | None = Field(
        None, description="Script of the release, run on the host before the switch."
    )
    post_deploy_hook: Inside | None = Field(
        None, description="Script of the release, run on the host once it is healthy."
    )
    hook_timeout: int = Field(120, ge=1, le=3600, description="Seconds that a hook may take.")
    build: Command | None = Field(
        None, description="Build command, run by a shell. Default: that of the service type."
    )
    build_on: Where = Field("controller", description="Where the build runs.")
    pass_variables: tuple[VariableName, ...] = Field(
        (),
        strict=False,
        max_length=MAX_VARIABLES,
        description="Variables of the controller that builds and installations there get as well.",
    )
    install_scripts: bool = Field(
        False, description="Let npm run the packages' install scripts on the controller."
    )
    build_timeout: int = Field(600, ge=1, le=7200, description="Seconds that a build may take.")
    dependencies_on: Where = Field(
        "controller", description="Where dependencies are installed; hosts may have no way out."
    )
    start: Command | None = Field(
        None, description="How the service is started. Default: that of the service type."
    )
    public: Inside | None = Field(
        None,
        description="static: the directory that is served. Default: dist, build, public, _site, or all.",
    )
    shared: Annotated[tuple[Inside, ...], AfterValidator(apart), AfterValidator(not_made)] = Field(
        (),
        strict=False,
        max_length=MAX_PATHS,
        description="Files and directories that the service writes; they outlive releases.",
    )
    leave_behind: tuple[Inside, ...] = Field(
        (),
        strict=False,
        max_length=MAX_PATHS,
        description="At the first run: what lies in the flat directory and is not needed any more.",
    )
    keep_releases: int = Field(5, ge=2, le=100, description="Releases kept on each host.")
    batch: int = Field(2, ge=1, le=50, description="Hosts at once, after the first one alone.")
    activation: Literal["restart", "socket"] = Field(
        "restart", description="socket: systemd holds the port while the service restarts."
    )
    stop_timeout: int = Field(10, ge=1, le=300, description="Seconds to stop before it is killed.")


class Service(Model):
    """One service, as its service-config.yml wants it."""

    name: ServiceName = Field(alias="service_name", description="Name of the service.")
    type: ServiceType = Field(alias="service_type", strict=False, description="What it is made of.")
    port: Port | None = Field(None, alias="app_port", description="Port that it listens on.")
    user: Login = Field("appuser", alias="app_user", description="Who it runs as.")
    app_dir: Directory | None = Field(None, description="Default: /opt/<service>.")
    unit_name: ServiceName | None = Field(
        None, alias="app_service_name", description="Its systemd unit. Default: the service's name."
    )
    main_file: Inside | None = Field(
        None, alias="app_main_file", description="Default: index.js (nodejs), app.py (python)."
    )
    nodejs_runtime: Literal["node", "bun"] = "node"
    source: Source = Field(
        "", alias="local_app_path", description="Its code. Default: ../../services/<service>."
    )
    environment: dict[VariableName, Variable] = Field(
        default_factory=dict, alias="container_env", description="Environment of the service."
    )
    health_path: WebPath | None = Field(
        None, alias="health_check_path", description="Default: /health, for static: /."
    )
    hosts: tuple[ServiceHost, ...] = Field((), strict=False, max_length=MAX_HOSTS)
    ssh: Ssh = Field(default_factory=Ssh)
    redeploy: Redeploy = Field(default_factory=Redeploy)

    @model_validator(mode="before")
    @classmethod
    def _unset(cls, data: Any) -> Any:
        """A key without a value is as good as absent; the base knows keys by their attributes only."""
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if value is not None}

    @model_validator(mode="after")
    def _fits(self) -> Service:
        self._require_different_hosts()
        if self.carries_code and self.port is None:
            raise Misplaced("this key is required", ("app_port",))
        self._require_own_variables()
        if self.type is ServiceType.STATIC and self.redeploy.activation == "socket":
            raise Misplaced(
                "nginx holds the port of a static service; leave it out", ("redeploy", "activation")
            )
        return self

    def _require_different_hosts(self) -> None:
        for number, host in enumerate(self.hosts):
            if any(host.name == other.name for other in self.hosts[:number]):
                raise Misplaced(f"the host {host.name} is named twice", ("hosts", number, "name"))
            # The same address twice are two machines when a gateway forwards ports to them.
            if any(_reached(host) == _reached(other) for other in self.hosts[:number]):
                raise Misplaced(
                    f"the address {host.address} is given twice", ("hosts", number, "address")
                )

    def _require_own_variables(self) -> None:
        if "RELEASE" in self.environment:
            raise Misplaced(
                "Quoracy sets it to the release's ID; choose another name",
                ("container_env", "RELEASE"),
            )
        port = self.environment.get("PORT", self.port)
        if self.port is not None and str(port) != str(self.port):
            raise Misplaced(
                f"must be app_port ({self.port}), or be left out", ("container_env", "PORT")
            )

    @property
    def carries_code(self) -> bool:
        """Whether there is code of the user's to redeploy."""
        return self.type not in INFRASTRUCTURE

    @property
    def subject(self) -> str:
        """What lease, journal and the hosts' guard know it by; no cluster's name has a colon."""
        return str(Subject("service", self.name))

    @property
    def directory(self) -> str:
        """Directory of the service on its hosts."""
        return self.app_dir or f"/opt/{self.name}"

    @property
    def unit(self) -> str:
        """The unit that is restarted; nginx serves static services."""
        if self.type is ServiceType.STATIC:
            return "nginx.service"
        return f"{self.unit_name or self.name}.service"

    @property
    def socket(self) -> str | None:
        """The unit that holds the port between two releases."""
        if self.redeploy.activation != "socket":
            return None
        return f"{self.unit_name or self.name}.socket"

    @property
    def health(self) -> str:
        """Path that must answer 2xx."""
        return self.health_path or ("/" if self.type is ServiceType.STATIC else "/health")
