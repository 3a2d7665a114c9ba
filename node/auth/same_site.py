"""Requests that a browser sends with a cookie: they count only if a page of this node sent them.

A page elsewhere can have a browser send requests here, cookie and all. It can't read the answers,
it can't send headers of its own, and the browser says where a request comes from. So whatever
changes something needs all three: an ``Origin`` that is this node's, no ``Sec-Fetch-Site`` that
speaks against it, and the session's token in :data:`HEADER`.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from buildnet.mesh.errors import BuildNetError
from buildnet.node.auth.secret import forgery_token

HEADER = "x-buildnet-csrf"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_PORTS = {"http": 80, "https": 443}


class OtherSiteError(BuildNetError):
    """A browser sent this for a page of another site, or it can't be told that it did not."""

    code = "OTHER_SITE"
    exit_code = 4
    http_status = 403


def require_own_page(headers: Mapping[str, str], scheme: str, also: Collection[str] = ()) -> None:
    """See that a page of this node sent a request; ``headers`` by their names in lower case;
    ``also``: addresses that the owner says lead here too, such as a proxy's.

    Raises:
        OtherSiteError: one of another site did, or none says that it did.
    """
    said = headers.get("sec-fetch-site", "same-origin")
    origin = headers.get("origin", "")
    own = is_own(origin, headers.get("host", ""), scheme) or origin in also
    if said == "same-origin" and own:
        return
    raise OtherSiteError(
        f"this was not sent by a page of this node but by {origin!r:.100}"
        if origin
        else "this names no page that sent it",
        hint="open this node's own page; programs use a key: buildnet key create",
    )


def require_token(headers: Mapping[str, str], secret: str) -> None:
    """See that a request brings the token of the session whose cookie it brings.

    Raises:
        OtherSiteError: it does not.
    """
    brought = headers.get(HEADER, "").encode("utf-8", "replace")
    if not hmac.compare_digest(brought, forgery_token(secret).encode()):
        raise OtherSiteError(
            f"this lacks the header {HEADER} with the session's token",
            hint="GET /api/session tells it to the node's own pages",
        )


def is_own(origin: str, host: str, scheme: str) -> bool:
    """Tell whether ``origin`` is where a request with this ``Host`` and scheme was sent to."""
    try:
        found = urlsplit(origin)
        here = urlsplit(f"{scheme}://{host}")
        found_port, here_port = found.port, here.port
    except ValueError:
        return False
    if found.scheme not in _PORTS or not found.hostname or found.path or found.query:
        return False
    return (found.scheme, found.hostname, found_port or _PORTS[found.scheme]) == (
        scheme,
        here.hostname,
        here_port or _PORTS.get(scheme),
    )
