"""Names of detected workspaces and packages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from buildnet.pool.workspace import UNSEEN_HINT, Problem, WorkspaceError

_NO_NAME = re.compile(r"[\s#,\x00-\x1f\x7f]+")


class Placed(Protocol):
    """A manifest that lies in a directory of the workspace."""

    @property
    def path(self) -> str:
        """The directory, relative to the root."""


_Placed = TypeVar("_Placed", bound=Placed)


def distinct_name(text: str) -> str:
    """Return a text as the name of a workspace."""
    seen = "".join(each if each.isprintable() else "-" for each in text)
    return _NO_NAME.sub("-", seen).strip("-") or "workspace"


def unique_names(
    manifests: Iterable[_Placed],
    name_of: Callable[[_Placed], str | None],
    file: str,
    notes: list[str],
) -> dict[str, _Placed]:
    """Return the manifests by name; those without one are noted.

    Raises:
        WorkspaceError: two have the same name, or one holds what can't be seen.
    """
    found: dict[str, _Placed] = {}
    for manifest in manifests:
        where = f"{manifest.path}/{file}".lstrip("/")
        name = name_of(manifest)
        if name is None:
            notes.append(f"{where} has no name and is left out")
        elif not name.isprintable():
            problem = Problem(where, None, f"{name!r} cannot be a name", UNSEEN_HINT)
            raise WorkspaceError.of([problem])
        elif name in found:
            problem = Problem(
                where,
                None,
                f"a second package {name!r}, the first is {found[name].path}",
                "give it a name of its own",
            )
            raise WorkspaceError.of([problem])
        else:
            found[name] = manifest
    return found
