"""What builds and hooks say reaches whoever started the operation, and nobody else."""

from __future__ import annotations

from quoracy.operation.output import show_output, showing_with


def test_lines_are_shown_while_somebody_looks_on() -> None:
    shown: list[str] = []
    show_output("before")
    with showing_with(shown.append):
        show_output("h1: built")
    show_output("after")
    assert shown == ["h1: built"]
