"""The cookie that a session is known by: what it is called, and what a browser is told of it."""

from __future__ import annotations

from starlette.responses import Response

_PREFIX = "__Host-"


def cookie_name(node: str, scheme: str) -> str:
    """Return the cookie's name. ``node`` is in it, since a browser sends a cookie to all ports of
    a host; with TLS its prefix lets no other host set it, and nobody without TLS."""
    plain = f"buildnet_{node}"
    return _PREFIX + plain if is_encrypted(scheme) else plain


def is_encrypted(scheme: str) -> bool:
    """Tell whether a request came with TLS."""
    return scheme in ("https", "wss")


def set_cookie(response: Response, node: str, scheme: str, secret: str, lifetime_s: float) -> None:
    """Have a browser keep the cookie, for so many seconds; 0: have it forget it."""
    response.set_cookie(
        cookie_name(node, scheme),
        secret,
        max_age=int(lifetime_s),
        path="/",
        secure=is_encrypted(scheme),
        httponly=True,
        samesite="strict",
    )
