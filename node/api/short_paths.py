"""Short paths of what monitors and scripts ask for most, as of the daemon before this one."""

from __future__ import annotations

_WHOLE = {
    "/build": "/api/build",
    "/builds": "/api/builds",
    "/cache/stats": "/api/cache/stats",
    "/cache/clear": "/api/cache/clear",
    "/config": "/api/node/config",
}


def whole_path(path: str) -> str:
    """Return the path that a short one stands for, such as one below ``/build``; any other as it
    is."""
    return f"/api{path}" if path.startswith("/build/") else _WHOLE.get(path, path)
