"""What is wanted: models of the spec files, parsed and linted. Pure."""
