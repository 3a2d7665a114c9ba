"""Records that every node ends up with."""
