"""The simulated world: clusters whose facts advance by steps. No shell, no clock, no plan, no checks."""
