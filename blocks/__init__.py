"""What an operator configures in the Prefect UI; specs refer to blocks by name, never hold secrets."""
