"""Register the block types with the server; may run any number of times."""

from __future__ import annotations

from blocks.secret import QuoracySecret


def bootstrap() -> None:
    """Register every block type, so that it can be filled in in the UI."""
    QuoracySecret.register_type_and_schema()


if __name__ == "__main__":
    bootstrap()
