"""What the README claims, measured; and the demonstration."""
