"""A workspace's ``package.json`` as an install sees it.

Installing sees manifests and the lock file, no sources, so the scripts that a workspace runs around
an install (``prepare: npm run build``) would fail there, while those of third-party packages, which
fetch or compile their binaries, have to run. No package manager tells the two apart. Therefore an
install is shown the manifests without scripts: the workspace's own then do not run, and editing a
script installs nothing anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from buildnet.pool.detect.directory import resolved

OWN_SCRIPTS = (
    "preinstall",
    "install",
    "postinstall",
    "prepublish",
    "preprepare",
    "prepare",
    "postprepare",
)
"""Scripts of a manifest that an install of its workspace runs."""
COMMAND_STUB = b"#!/usr/bin/env node\n"
"""Stands for a program of the workspace while dependencies are installed: it may not be built yet,
and package managers link, or write starters for, only what is there."""

_PATCHES = re.compile(r"(?:npx (?:--no-install )?)?patch-package(?: [\w./@=-]+)*")


def scripts_left_out(scripts: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the lifecycle scripts that an install does not run."""
    return tuple(
        name for name in OWN_SCRIPTS if name in scripts and not _patches_packages(scripts[name])
    )


def manifest_for_install(manifest: Mapping[str, Any]) -> bytes:
    """Return the JSON of a manifest without its scripts.

    Those that only apply patches to installed packages stay: their input is the patches.
    """
    scripts = manifest.get("scripts")
    kept = {
        name: text
        for name, text in (scripts.items() if isinstance(scripts, dict) else ())
        if name in OWN_SCRIPTS and isinstance(text, str) and _patches_packages(text)
    }
    shown = {name: value for name, value in manifest.items() if name != "scripts"}
    if kept:
        shown["scripts"] = kept
    return json.dumps(shown, ensure_ascii=False).encode()


def commands_of(path: str, manifest: Mapping[str, Any]) -> Iterator[str]:
    """Yield the files, relative to the root, that the package at ``path`` offers as commands."""
    bins = manifest.get("bin")
    for named in bins.values() if isinstance(bins, dict) else (bins,):
        at = resolved(path, named) if isinstance(named, str) and named else None
        if at and at != path:
            yield at


def _patches_packages(script: str) -> bool:
    return _PATCHES.fullmatch(script.strip()) is not None
