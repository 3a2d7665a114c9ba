"""The one error family of BuildNet.

Every error that a person may meet is a :class:`BuildNetError`: it says what happened, why if that
is known (``cause``), and what to do about it (``hint``). The command line prints the three as
``error[CODE]: … / cause: … / hint: …``; the API answers them as RFC 9457 problem details.
"""

from __future__ import annotations


class BuildNetError(Exception):
    """Base of all errors that are shown to people.

    Subclasses set ``code`` (stable, upper case), ``exit_code`` (the command line's, see the
    reference of exit codes) and ``http_status`` (the API's).
    """

    code: str = "FAILED"
    exit_code: int = 1
    http_status: int = 500

    def __init__(self, message: str, *, cause: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.cause = cause
        self.hint = hint

    def as_dict(self) -> dict[str, str | None]:
        """Return ``{"code", "message", "cause", "hint"}``, the shape that ``--json`` prints."""
        return {
            "code": self.code,
            "message": self.message,
            "cause": self.cause,
            "hint": self.hint,
        }


class UsageError(BuildNetError):
    """A command, request or configuration that cannot mean anything."""

    code = "USAGE"
    exit_code = 2
    http_status = 400


class StoppingError(BuildNetError):
    """The node is about to stop and begins nothing any more."""

    code = "STOPPING"
    exit_code = 3
    http_status = 503


class NotFoundError(BuildNetError):
    """A name or id that nothing answers to."""

    code = "NOT_FOUND"
    exit_code = 6
    http_status = 404
