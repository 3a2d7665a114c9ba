"""Which systems BuildNet runs on. Imports nothing that one of the others lacks."""

from __future__ import annotations

import sys

from buildnet.mesh.errors import BuildNetError


class PlatformError(BuildNetError):
    """BuildNet does not run on this system."""

    code = "PLATFORM"
    exit_code = 2


def require_supported_platform(platform: str | None = None) -> None:
    """Refuse Windows with the way that works there.

    Raises:
        PlatformError: ``platform``, by default this system's ``sys.platform``, is Windows.
    """
    if (platform or sys.platform) == "win32":
        raise PlatformError(
            "BuildNet runs on Linux and macOS",
            hint="on Windows install WSL (wsl --install) and run BuildNet inside it",
        )
