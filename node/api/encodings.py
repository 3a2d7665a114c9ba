"""Which encodings of an answer a client takes (RFC 9110, 12.5.3)."""

from __future__ import annotations

from starlette.requests import Request


def takes_gzip(request: Request) -> bool:
    """Tell whether the client takes an answer packed as gzip: by that name, or as any (``*``) that
    it does not name; a weight of 0 is a no."""
    weights = dict(map(_weighed, request.headers.get("accept-encoding", "").split(",")))
    return weights.get("gzip", weights.get("*", 0.0)) > 0


def _weighed(one: str) -> tuple[str, float]:
    coding, _, rest = one.partition(";")
    name, _, weight = rest.partition("=")
    if name.strip().lower() != "q":
        return coding.strip().lower(), 1.0
    try:
        return coding.strip().lower(), float(weight)
    except ValueError:
        return coding.strip().lower(), 0.0
