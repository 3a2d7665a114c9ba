"""How much JSON of others may hold, looked at before it is read.

What does not fit a model is copied into each error that tells so: 3 MiB of ``{}`` in a field that
nobody knows took 2.3 GB. So its values are counted first.
"""

from __future__ import annotations


def require_few(text: bytes, most: int) -> None:
    """See that JSON has no more than about so many values.

    Raises:
        ValueError: it has more.
    """
    if sum(map(text.count, (b",", b"[", b"{"))) > most:
        raise ValueError(f"it has more than {most:,} values")
