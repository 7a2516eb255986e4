"""Commands whose module is imported when they are run, not when they are listed: a shell asks at every Tab."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


@dataclass(frozen=True, slots=True)
class Verb:
    """Where a command is, and what the list of commands says of it.

    Attributes:
        place: "module:attribute", where the attribute is a function or a group.
        help: The first sentence of the command's own help.
    """

    place: str
    help: str

    @property
    def here(self) -> bool:
        """Whether it can be run: some commands are part of the checkout alone."""
        # The module itself: somebody else's package may have the name of one of the checkout's.
        try:
            return importlib.util.find_spec(self.place.partition(":")[0]) is not None
        except ModuleNotFoundError:
            return False


class LazyCommand(TyperCommand):
    """Stands for a command until it is run."""

    def __init__(self, name: str, verb: Verb) -> None:
        super().__init__(name, help=verb.help, add_help_option=False)
        self._verb = verb

    def load(self) -> Any:
        """The command itself."""
        module, _, attribute = self._verb.place.partition(":")
        loaded = getattr(importlib.import_module(module), attribute)
        command: Any
        if isinstance(loaded, typer.Typer):
            loaded.rich_markup_mode = None
            command = typer.main.get_group(loaded)
            command.help = self._verb.help
        else:
            command = _of(loaded)
        command.name = self.name
        return command

    def make_context(self, *arguments: Any, **named: Any) -> Any:
        """The context of the command itself, which is what then runs."""
        return self.load().make_context(*arguments, **named)


def _of(function: Callable[..., None]) -> Any:
    single = typer.Typer(
        rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False
    )
    single.command()(function)
    return typer.main.get_command(single)


def group_of(verbs: Mapping[str, Verb]) -> type[TyperGroup]:
    """A group with these commands."""

    class LazyGroup(TyperGroup):
        def __init__(self, **attributes: Any) -> None:
            super().__init__(**attributes)
            self.commands = {
                name: LazyCommand(name, verb) for name, verb in verbs.items() if verb.here
            }

    return LazyGroup
