"""Files for hosts, rendered from the spec. Pure."""
