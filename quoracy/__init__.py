"""Quoracy: day-2 operations for clusters that must never lose quorum."""

__version__ = "0.1.0"
