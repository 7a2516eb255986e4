"""What the commands print with: text is shown as it is, whatever it holds.

History and journals hold what hosts, apps and callers have said: neither markup nor control sequences in it
count, also where they were recorded before this was so.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import rich.console
import typer
from rich.console import ConsoleOptions, RenderableType
from rich.segment import Segment

from quoracy.plain import harmless, plain


class Console(rich.console.Console):
    """Rich's console without markup and emoji codes, on which no text steers the terminal."""

    def __init__(self, **more: Any) -> None:
        super().__init__(markup=False, emoji=False, **more)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Whatever a renderable consists of: what of it is text is cleaned."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=harmless(segment.text))


def say(text: str) -> None:
    """Print a line on standard output."""
    typer.echo(plain(text))
