"""Who sits at the terminal."""

from __future__ import annotations

import os

USER_HEADER = "buildnet-user"
"""With which a request over the node's socket says that name."""


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


def user_header() -> str:
    """Return that name as :data:`USER_HEADER` has it, percent-encoded; ``urllib.parse.quote`` takes
    longer to import."""
    return "".join(
        chr(one) if one < 128 and (chr(one).isalnum() or chr(one) in "-._~") else f"%{one:02X}"
        for one in os.fsencode(user_name())
    )
