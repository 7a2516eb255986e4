"""The loop around every operation: lease, journal, apply, check, plan again, put back. Knows no system."""
