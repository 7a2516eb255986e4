"""Where plans meet machines: gathering facts, carrying out steps, taking snapshots."""
