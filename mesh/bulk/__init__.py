"""Blobs from node to node."""
