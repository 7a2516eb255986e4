"""The keys of service-config.yml: those that are used, and those of the original that are only known."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from typing import Any

from quoracy.services.spec import Redeploy, Service, ServiceType

# deployment-templates/**/service-config.yml.j2 of the original, and the variables of its playbooks.
_NOT_USED = (
    *("service_hostname", "app_subdomain", "app_name", "additional_ports", "container_tags"),
    *("vm_name", "vm_id", "vm_cores", "vm_memory", "vm_disk_size", "vm_storage", "vm_swap"),
    *("vm_network_bridge", "vm_unprivileged", "container_type", "proxmox_node"),
    *("dns_server", "dns_domain", "db_name", "db_user", "db_password"),
    *("force_dependency_update", "run_tests"),
    *(f"{kind}_runtime" for kind in ServiceType if kind != ServiceType.NODEJS),
)
FLAT = ("health_check_timeout", "skip_build")
"""Keys of `redeploy` that the original has at top level; they count where `redeploy` lacks them."""

USED = frozenset(field.alias or name for name, field in Service.model_fields.items())
KNOWN = (*sorted(USED), *FLAT, *_NOT_USED)
OF_REDEPLOY = tuple(Redeploy.model_fields)


def nearest(key: str, known: Collection[str], elsewhere: str = "") -> str:
    """The key that was probably meant, as the end of a sentence.

    Args:
        elsewhere: Where a key of this name belongs; "" when nowhere.
    """
    if elsewhere:
        return f"; did you mean {elsewhere}?"
    near = difflib.get_close_matches(key[:60], known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def service_schema() -> dict[str, Any]:
    """JSON schema of service-config.yml for editors, with the keys that are only known."""
    schema = Service.model_json_schema(by_alias=True)
    inner = schema["$defs"]["Redeploy"]["properties"]
    flat = {key: {**inner[key], "title": key} for key in FLAT}
    unused = {key: {"description": "Of the original; not used here."} for key in _NOT_USED}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "service-config.yml",
        "properties": {**schema["properties"], **flat, **unused},
        # The directory's name is the service's when the file gives none.
        "required": [key for key in schema["required"] if key != "service_name"],
    }
