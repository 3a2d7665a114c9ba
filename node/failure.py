"""What went wrong first, inside the groups that task groups raise."""

from __future__ import annotations


def first_cause(failure: BaseException) -> BaseException:
    """Return the first single error in ``failure``: itself, if it is no group."""
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure


def in_one_line(failure: BaseException) -> str:
    """Return ``Type: message`` of what went wrong first, without line breaks."""
    cause = first_cause(failure)
    return " ".join(f"{type(cause).__name__}: {cause}".split())
