"""Does an installed ``node_modules`` hold what the lock file says?

Each package manager leaves a note of what it installed. Where the note matches the lock file, the
user's own ``node_modules`` serves as the dependency tree and nothing has to be installed.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

_YARN_ENTRY = re.compile(r"^(?P<patterns>\S.*):$")


def installed_matches(manager: str, root: Path, lock_file: str) -> bool:
    """Tell whether ``root/node_modules`` was installed from ``root/lock_file`` as it is now."""
    modules = root / "node_modules"
    if not modules.is_dir():
        return False
    try:
        match manager:
            case "npm":
                return _npm_matches(root / lock_file, modules)
            case "pnpm":
                current = modules / ".pnpm" / "lock.yaml"
                return current.read_bytes() == (root / lock_file).read_bytes()
            case "yarn":
                return _yarn_matches(root / lock_file, modules)
    except (OSError, ValueError, TypeError, AttributeError, yaml.YAMLError):
        return False
    return False


def _npm_matches(lock_file: Path, modules: Path) -> bool:
    wanted = _npm_packages(json.loads(lock_file.read_text()))
    installed = _npm_packages(json.loads((modules / ".package-lock.json").read_text()))
    for path, (version, optional) in wanted.items():
        if path in installed:
            if installed[path][0] != version:
                return False
        elif not optional:
            return False
    return installed.keys() <= wanted.keys()


def _npm_packages(lock: dict[str, Any]) -> dict[str, tuple[str, bool]]:
    """Return ``{path: (version and integrity, may be absent)}`` of what lies in node_modules."""
    return {
        path: (
            f"{entry.get('version')} {entry.get('integrity')}",
            bool(entry.get("optional") or entry.get("peer") or entry.get("devOptional")),
        )
        for path, entry in lock["packages"].items()
        if "node_modules/" in path and not entry.get("link")
    }


def _yarn_matches(lock_file: Path, modules: Path) -> bool:
    note = modules / ".yarn-integrity"
    if note.exists():
        installed = set(json.loads(note.read_text())["lockfileEntries"])
        return installed == _yarn_patterns(lock_file.read_text())
    state = yaml.safe_load((modules / ".yarn-state.yml").read_text())
    lock = yaml.safe_load(lock_file.read_text())
    locked = {
        entry["resolution"]
        for entry in lock.values()
        if "resolution" in entry and "@workspace:" not in entry["resolution"]
    }
    present = {key for key in state if key != "__metadata" and "@workspace:" not in key}
    # Packages for other platforms are locked but not installed.
    conditional = {entry["resolution"] for entry in lock.values() if "conditions" in entry}
    virtual = re.compile(r"virtual:[0-9a-f]+#")
    return locked - conditional <= {virtual.sub("", key) for key in present} <= locked


def _yarn_patterns(lock: str) -> set[str]:
    patterns: set[str] = set()
    for line in lock.splitlines():
        if not line.startswith("#") and (entry := _YARN_ENTRY.match(line)):
            patterns.update(part.strip().strip('"') for part in entry["patterns"].split(","))
    return patterns
