"""Builds that begin by themselves when what they are made from changes."""
