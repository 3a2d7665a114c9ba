"""Messages of the pool."""

KINDS = range(120, 140)
