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
