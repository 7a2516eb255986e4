"""Spec files of every system: YAML with positions, fields, and mistakes told with line and column."""
