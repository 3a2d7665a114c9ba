"""``package.json``: what BuildNet reads of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from buildnet.pool.workspace import Problem, WorkspaceError

MANIFEST = "package.json"
_DEPENDENCIES = ("dependencies", "optionalDependencies", "peerDependencies")


@dataclass(frozen=True, slots=True)
class Manifest:
    """A package.json. ``path`` is its directory relative to the workspace's root."""

    path: str
    data: Mapping[str, Any]

    @property
    def name(self) -> str | None:
        return self.text("name")

    @property
    def version(self) -> str:
        return self.text("version") or "0.0.0"

    @property
    def scripts(self) -> Mapping[str, str]:
        """The scripts by name; entries that are not text are left out."""
        return {key: text for key, text in self.mapping("scripts").items() if isinstance(text, str)}

    @property
    def needs(self) -> Mapping[str, str]:
        """Name -> version range of what the package needs when it is used."""
        return {
            name: spec
            for kind in _DEPENDENCIES
            for name, spec in self.mapping(kind).items()
            if isinstance(spec, str)
        }

    @property
    def needs_to_build(self) -> Mapping[str, str]:
        """Name -> version range of what only its own build and tests need."""
        return {
            name: spec
            for name, spec in self.mapping("devDependencies").items()
            if isinstance(spec, str)
        }

    def text(self, key: str) -> str | None:
        """Return a field that is text and not empty, else None."""
        value = self.data.get(key)
        return value if isinstance(value, str) and value else None

    def mapping(self, key: str) -> Mapping[str, Any]:
        """Return a field that is an object, else an empty one."""
        value = self.data.get(key)
        return value if isinstance(value, dict) else {}


def read_manifest(root: Path, path: str) -> Manifest | None:
    """Read the package.json of the directory ``path``; None if there is none.

    Raises:
        WorkspaceError: it is not a JSON object.
    """
    where = f"{path}/{MANIFEST}" if path else MANIFEST
    data = read_json(root, where)
    return None if data is None else Manifest(path, data)


_COMMENT = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.DOTALL)
_LAST_COMMA = re.compile(r'("(?:\\.|[^"\\])*")|,(?=\s*[}\]])')


def read_commented_json(root: Path, where: str) -> dict[str, Any] | None:
    """Read JSON with comments and trailing commas (tsconfig.json, turbo.json); None if not there.

    A file that is not even that is None too: the tool it belongs to will tell.
    """
    try:
        with open(f"{root}/{where}", "rb") as file:
            text = file.read().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return None
    plain = _COMMENT.sub(lambda match: match[1] or "", text)
    try:
        data = json.loads(_LAST_COMMA.sub(lambda match: match[1] or "", plain))
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def read_json(root: Path, where: str) -> dict[str, Any] | None:
    """Read the JSON object in the file ``where``, relative to the root; None if there is no file.

    Raises:
        WorkspaceError: it is not a JSON object.
    """
    try:
        with open(f"{root}/{where}", "rb") as file:  # a thousand of them count
            data = json.loads(file.read().decode("utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except json.JSONDecodeError as error:
        problem = Problem(where, error.lineno, f"malformed JSON: {error.msg}", "correct it")
        raise WorkspaceError.of([problem]) from error
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise WorkspaceError.of([Problem(where, None, f"cannot be read: {error}")]) from error
    if not isinstance(data, dict):
        raise WorkspaceError.of([Problem(where, 1, "must be a JSON object", "correct it")])
    return data
