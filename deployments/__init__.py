"""What must exist around the flows: block types, deployments, and a runner for one machine."""
