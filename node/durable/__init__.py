"""Builds that outlive the node that was asked for them, and are seen from every node."""
