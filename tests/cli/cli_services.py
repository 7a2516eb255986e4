"""Projects with services in files, as a user of the command has them."""

from __future__ import annotations

from pathlib import Path


def config(project: Path, name: str, text: str | bytes, *, code: bool = True) -> Path:
    """The config of a service, and code of it."""
    file = project / "deployments" / name / "service-config.yml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    if code:
        (project / "services" / name).mkdir(parents=True, exist_ok=True)
        (project / "services" / name / "index.html").write_text("hello")
    return file


def good(port: int, known_hosts: Path) -> str:
    """A service on two hosts of this machine."""
    return (
        "service_type: static\napp_port: 8080\n"
        "hosts: [{name: far-1, address: 127.0.0.1}, {name: far-2, address: 127.0.0.2}]\n"
        f"ssh: {{port: {port}, known_hosts: {known_hosts}}}\n"
    )
