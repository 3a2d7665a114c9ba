"""Messages of the pool."""

RESULT_KINDS = range(120, 122)
SHARING_KINDS = range(122, 140)
DURABLE_KINDS = range(160, 170)
