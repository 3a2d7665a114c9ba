"""Whom to link with, and how far away it is."""
