"""Noticing what changes in a workspace between builds."""
