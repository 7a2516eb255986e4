"""What an operation works on: a cluster or a service. One lease each. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

_SERVICE = "service:"


@dataclass(frozen=True, slots=True)
class Subject:
    """A cluster or a service, by name.

    As text it is what lease, journal and hosts know it by: a cluster's own name, which has no colon, or
    `service:` and the name.
    """

    kind: Literal["cluster", "service"]
    name: str

    def __str__(self) -> str:
        """As lease, journal and hosts know it."""
        return self.name if self.kind == "cluster" else f"{_SERVICE}{self.name}"

    @property
    def tag(self) -> str:
        """The tag of all runs that work on it."""
        return f"{self.kind}:{self.name}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """What a text stands for."""
        if text.startswith(_SERVICE):
            return cls("service", text.removeprefix(_SERVICE))
        return cls("cluster", text)

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Self:
        """What a run with these parameters works on."""
        cluster = parameters.get("cluster")
        if cluster is not None:
            return cls("cluster", str(cluster))
        return cls("service", str(parameters["service"]))
