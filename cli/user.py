"""Who sits at the terminal."""

from __future__ import annotations

import os


def user_name() -> str:
    """Return the name of the account that this process runs under, as ``getpass.getuser`` does,
    which takes longer to import than a build with nothing to do."""
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        if name := os.environ.get(variable):
            return name
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError):
        return f"uid {os.getuid()}"
