"""Who coordinates."""
