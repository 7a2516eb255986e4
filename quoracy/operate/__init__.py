"""The loop that all operations share: lease, journal, apply, check, plan again, put back."""
