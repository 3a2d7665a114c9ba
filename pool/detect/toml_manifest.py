"""``Cargo.toml`` and ``pyproject.toml``: what BuildNet reads of them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from buildnet.pool.workspace import Problem, WorkspaceError

SIZE_LIMIT = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class TomlManifest:
    """A manifest. ``path`` is its directory relative to the workspace's root."""

    path: str
    data: Mapping[str, Any]

    def table(self, *keys: str) -> Mapping[str, Any]:
        """Return a table; an empty one if there is none."""
        found = self.value(*keys)
        return found if isinstance(found, dict) else {}

    def tables(self, *keys: str) -> tuple[Mapping[str, Any], ...]:
        """Return the tables of an array of tables."""
        found = self.value(*keys)
        listed = found if isinstance(found, list) else []
        return tuple(one for one in listed if isinstance(one, dict))

    def text(self, *keys: str) -> str | None:
        """Return a text that is not empty, else None."""
        found = self.value(*keys)
        return found if isinstance(found, str) and found else None

    def texts(self, *keys: str) -> tuple[str, ...]:
        """Return the texts of an array."""
        found = self.value(*keys)
        listed = found if isinstance(found, list) else []
        return tuple(one for one in listed if isinstance(one, str))

    def value(self, *keys: str) -> object:
        """Return what stands at ``keys``; None if nothing does."""
        here: Any = self.data
        for key in keys:
            here = here.get(key) if isinstance(here, dict) else None
        return here


def read_toml(root: Path, path: str, name: str) -> TomlManifest | None:
    """Read the file ``name`` of the directory ``path``; None if there is none.

    Raises:
        WorkspaceError: it is no TOML.
    """
    where = f"{path}/{name}" if path else name
    try:
        with (root / where).open("rb") as file:
            raw = file.read(SIZE_LIMIT + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        problem = Problem(where, None, f"cannot be read: {error.strerror}", "make it readable")
        raise WorkspaceError.of([problem]) from error
    if len(raw) > SIZE_LIMIT:
        message = f"is larger than {SIZE_LIMIT // 1024 // 1024} MiB"
        raise WorkspaceError.of([Problem(where, None, message, "correct it")])
    try:
        return TomlManifest(path, tomllib.loads(raw.decode("utf-8-sig")))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        problem = Problem(where, None, f"malformed TOML: {error}", "correct it")
        raise WorkspaceError.of([problem]) from error
