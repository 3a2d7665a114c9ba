"""Where things lie for a command in ``strict``: the same on every host, for paths get embedded."""

BUILD = "/build"
HOME = "/home/buildnet"
TEMPORARY = "/tmp"
TOOLS = "/tools"
CACHE = "/cache"
SETTINGS = "/settings"
HOST_NAME = "buildnet"

USER_ID = 65533
"""Nobody's id: Debian reserves it, systemd's dynamic users end at 65519, 65534 is taken."""
