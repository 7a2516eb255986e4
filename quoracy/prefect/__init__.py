"""The Prefect server of `quoracy up`, and runs that are handed to it."""
