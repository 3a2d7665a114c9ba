"""Hosts that lend each other what they have: commands of one node's builds run on others."""
