"""The start of a command: what it imports stays, so it is not searched for garbage again and again.

Python's collector took a quarter of the processor time that importing Prefect needs.
"""

from __future__ import annotations

import gc


def collect_nothing_yet() -> None:
    """Let nothing be collected while modules are imported; for the beginning of a process."""
    gc.disable()


def collect_from_now_on() -> None:
    """Collect what is made from here on; what has been imported is left alone."""
    gc.freeze()
    gc.enable()
