"""The example project, as tests use it."""

from __future__ import annotations

from pathlib import Path

from quoracy.services.spec_parse import ParsedService, parse_service

SHOP = Path(__file__).parents[1] / "examples/shop"


def configuration(name: str) -> ParsedService:
    """One of its services, with the warnings about its file."""
    file = SHOP / f"deployments/{name}/service-config.yml"
    return parse_service(file.read_text(), source=str(file))


def source(name: str) -> Path:
    """The code of one of its services."""
    return SHOP / "services" / name
