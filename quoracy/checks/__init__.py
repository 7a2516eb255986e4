"""May we go on: facts -> verdicts. Pure."""
