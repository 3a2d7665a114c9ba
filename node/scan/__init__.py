"""What a host has: one module a subject, and the scanner that asks them all."""
