"""What this node's user wants where a request says nothing: the profile, by workspace or not."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

from buildnet.mesh.errors import BuildNetError

_log = logging.getLogger("buildnet.node")


class DefaultsError(BuildNetError):
    """What a user wants by default can't be kept."""

    code = "DEFAULTS"


class Defaults:
    """Kept in one small file of the data directory. ``file`` need not be there."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._profile: str | None = None
        self._workspaces: dict[str, str] = {}
        self._load()

    def profile(self, root: Path) -> str | None:
        """Return the profile of builds of the workspace at ``root`` (absolute); None: none."""
        return self._workspaces.get(str(root), self._profile)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is wanted."""
        return self._profile is None and not self._workspaces

    def use_profile(self, name: str | None, root: Path | None = None) -> None:
        """Set the profile of one workspace, or of all that have none of their own; None: none.

        Raises:
            DefaultsError: it can't be written; nothing changes.
        """
        workspaces = dict(self._workspaces)
        profile = name if root is None else self._profile
        if root is not None:
            workspaces.pop(str(root), None)
            if name is not None:
                workspaces[str(root)] = name
        self._write({"profile": profile, "workspaces": workspaces})
        self._profile, self._workspaces = profile, workspaces

    def view(self) -> dict[str, Any]:
        """Return all of it as JSON."""
        return {"profile": self._profile, "workspaces": dict(self._workspaces)}

    def _load(self) -> None:
        try:
            kept = json.loads(self._file.read_text("utf-8"))
            profile, workspaces = kept["profile"], kept["workspaces"]
            if not isinstance(profile, str | None) or not isinstance(workspaces, dict):
                raise ValueError("it has another form")
            self._workspaces = {str(root): str(name) for root, name in workspaces.items()}
            self._profile = profile
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning("%s can't be read, so there is no default profile: %s", self._file, error)

    def _write(self, data: dict[str, Any]) -> None:
        partial = self._file.with_name(f".{self._file.name}.part")
        try:
            partial.touch(0o600)
            partial.write_text(json.dumps(data, indent=2), "utf-8")
            os.replace(partial, self._file)
        except OSError as error:
            raise DefaultsError(
                "the default can't be kept",
                cause=f"{self._file}: {error.strerror or error}",
                hint="check the room and permissions of the data directory",
            ) from error
