"""Where the parts of a service lie on its hosts. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from quoracy.services.spec import Service, ServiceType

UNITS = "/etc/systemd/system"

DERIVED = ("node_modules", "venv", ".venv", "__pycache__")
"""What is made from the code or its lock file, and can be made again."""

DEPENDENCY_LINK: Mapping[ServiceType, str] = {
    ServiceType.NODEJS: "node_modules",
    ServiceType.PYTHON: ".venv",
}
"""What a release's link to its dependencies is called."""

PUBLIC = ("dist", "build", "public", "_site")
"""static: where builds leave what is to be served; the first one that is there."""


def release_path(service: Service, release: str) -> str:
    """Directory of a release."""
    return f"{service.directory}/releases/{release}"


def incoming_path(service: Service, release: str) -> str:
    """Where a release is made; nobody takes it for one."""
    return f"{service.directory}/releases/.{release}.incoming"


def dependencies_path(service: Service, key: str) -> str:
    """Directory of dependencies by their key."""
    return f"{service.directory}/deps/{key}"


def journal_path(service: Service) -> str:
    """Journal of an adoption; it is there from its first change until the flat files are gone."""
    return f"{service.directory}/.quoracy/adoption"


def web_root(service: Service) -> str:
    """static: what nginx serves."""
    return f"/var/www/{service.name}"


def public_path(service: Service) -> str:
    """static: where the web root leads to, whatever release is current."""
    return f"{service.directory}/current/.quoracy/public"


def dotenv_path(service: Service) -> str:
    """Root's copy of the variables in `shared/.env`, as of the last start by us."""
    return f"{service.directory}/.quoracy/dotenv"


def socket_name(service: Service) -> str:
    """The service's socket unit, whether it is wanted or not."""
    return f"{service.unit.removesuffix('.service')}.socket"


def dependency_target(service: Service, key: str) -> str:
    """Where a release's link to its dependencies leads, seen from the release; "" for no link."""
    if service.type is ServiceType.NODEJS and key:
        return f"../../deps/{key}/node_modules"
    if service.type is ServiceType.PYTHON:
        # Without dependencies it is the system's Python, so that the unit is the same.
        return f"../../deps/{key}" if key else "../../.quoracy/python"
    return ""
