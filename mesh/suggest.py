"""The "did you mean" of every error that names something unknown."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def suggest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that ``word`` most probably meant, or None if none is close."""
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """Return the hint ``did you mean 'X'?``, or None if nothing is close."""
    match = suggest(word, known)
    return f"did you mean {match!r}?" if match else None
