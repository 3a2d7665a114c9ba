"""Who sits at the terminal."""

from __future__ import annotations

import getpass
import os


def user_name() -> str:
    """Return the name of the account that this process runs under."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return f"uid {os.getuid()}"
