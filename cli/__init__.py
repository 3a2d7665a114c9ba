"""A person at a terminal: parses, asks a node over HTTP, prints."""
