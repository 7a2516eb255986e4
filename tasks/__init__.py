"""Effects as Prefect tasks: a name, a retry policy and a place in the run; no decisions.

Reads may retry; writes never do. No result is cached or persisted: a remembered "stopped demo-2" is
wrong once the host has rebooted.
"""
