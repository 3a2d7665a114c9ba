"""How large the numbers of a request may be."""

from __future__ import annotations

MOST_COUNTED = 2**53 - 1
"""Of what is counted without an end: every reader of JSON has it exactly, and every store room."""
