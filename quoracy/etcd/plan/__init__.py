"""What to do: one file per operation, (spec, facts) -> Plan. Pure."""
