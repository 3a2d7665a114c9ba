"""Why a request is turned away."""

from __future__ import annotations

from buildnet.mesh.errors import BuildNetError


class NotAuthenticatedError(BuildNetError):
    """Nobody is known to ask: no credential, or one that does not count."""

    code = "NOT_AUTHENTICATED"
    exit_code = 4
    http_status = 401


class NotAllowedError(BuildNetError):
    """Who asks is known, and may not do that."""

    code = "NOT_ALLOWED"
    exit_code = 4
    http_status = 403


class KeyInvalidError(NotAuthenticatedError):
    """What was sent is no key of this cluster."""

    code = "KEY_INVALID"


class KeyExpiredError(NotAuthenticatedError):
    """A key whose time is over, or has not come."""

    code = "KEY_EXPIRED"


class KeyRevokedError(NotAuthenticatedError):
    """A key that an admin revoked, or whose issuer is no admin any more."""

    code = "KEY_REVOKED"


class KeyElsewhereError(NotAllowedError):
    """A key that is for other nodes."""

    code = "KEY_ELSEWHERE"


class ProofError(NotAuthenticatedError):
    """A key that is bound to its agent, sent without the agent's proof, or with one that does not
    count."""

    code = "KEY_PROOF"


class TooManyRequestsError(BuildNetError):
    """Somebody asks more often than they may; ``retry_after_s``: when they may again."""

    code = "TOO_MANY_REQUESTS"
    exit_code = 4
    http_status = 429

    def __init__(self, message: str, retry_after_s: float, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class TooManyConnectionsError(BuildNetError):
    """Who asks has as many connections open as one key or session may have."""

    code = "TOO_MANY_CONNECTIONS"
    exit_code = 3
    http_status = 429
