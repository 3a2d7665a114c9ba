"""Which script builds the packages of a workspace: mostly ``build``, in some ``compile``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from buildnet.pool.detect.manifest import Manifest
from buildnet.pool.workspace import BUILD

_ROOTS_SCRIPTS = (BUILD, "compile")
_FLAGS = r"(?:--?[\w-]+(?:=\S+)? +)*"
_SCRIPT = r"(?P<script>[a-zA-Z][\w:.-]*)"
_IN_EACH = tuple(
    re.compile(rf"(?:^|[\s;&|(]){text}(?=$|[\s;&|)])")
    for text in (
        rf"lerna +run +{_FLAGS}{_SCRIPT}",
        rf"turbo +(?:run +)?{_FLAGS}{_SCRIPT}",
        rf"nx +run-many +(?:-t|--targets?)[ =]{_SCRIPT}",
        rf"pnpm +{_FLAGS}(?:-r|--recursive) +{_FLAGS}(?:run +)?{_FLAGS}{_SCRIPT}",
        rf"pnpm +run +{_FLAGS}(?:-r|--recursive) +{_FLAGS}{_SCRIPT}",
        rf"yarn +workspaces +(?:foreach +{_FLAGS})?run +{_FLAGS}{_SCRIPT}",
        rf"npm +run +{_FLAGS}(?:-ws|--workspaces) +{_FLAGS}{_SCRIPT}",
        rf"npm +run +{_SCRIPT} +{_FLAGS}(?:-ws|--workspaces)",
    )
)


def build_script(root: Mapping[str, str], members: Iterable[Manifest]) -> str:
    """Return the script that the root's ``build`` or ``compile`` runs in every package.

    That is ``build`` unless they name exactly one other that a package has.
    """
    packages = list(members)
    for name in _ROOTS_SCRIPTS:
        text = root.get(name, "")
        found = {match["script"] for one in _IN_EACH for match in one.finditer(text)}
        if len(found) == 1 and any(found & one.scripts.keys() for one in packages):
            return found.pop()
        if name in root:
            return BUILD
    return BUILD
