"""Does an installed ``node_modules`` hold what the lock file says?

Each package manager leaves a note of what it installed. Where the note matches the lock file, the
user's own ``node_modules`` serves as the dependency tree and nothing has to be installed. When in
doubt it does not match.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

_YARN_ENTRY = re.compile(r"^(?P<patterns>\S.*):$")
_YARN_RESOLVED = re.compile(r'^  resolved "(?P<url>.*)"$')
_YARN_PARTIAL = frozenset({"production", "ignoreOptional", "flat"})
_VIRTUAL = re.compile(r"virtual:[0-9a-f]+#")
_YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast on large lock files


def installed_matches(manager: str, root: Path, lock_file: str, members: Iterable[str]) -> bool:
    """Tell whether ``root/node_modules`` was installed from ``root/lock_file`` as it is now.

    ``members`` are the directories of the workspace's packages, relative to the root.
    """
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
            case "yarn" if (modules / ".yarn-integrity").exists():
                return _yarn_matches(root, root / lock_file, modules, members)
            case "yarn":
                return _berry_matches(root / lock_file, modules)
    except (OSError, ValueError, TypeError, AttributeError, LookupError, yaml.YAMLError):
        return False  # a note of another form than the known ones
    return False


def _npm_matches(lock_file: Path, modules: Path) -> bool:
    wanted = _npm_packages(json.loads(lock_file.read_text()))
    installed = _npm_packages(json.loads((modules / ".package-lock.json").read_text()))
    for path, (what, optional) in wanted.items():
        if path in installed:
            if installed[path][0] != what:
                return False
        elif not optional:
            return False
    return installed.keys() <= wanted.keys()


def _npm_packages(lock: dict[str, Any]) -> dict[str, tuple[str, bool]]:
    """Return ``{path: (what is there, may be absent)}`` of what lies in node_modules."""
    return {
        path: (
            f"link {entry['resolved']}"
            if entry.get("link")
            else f"{entry.get('version')} {entry.get('integrity')}",
            bool(entry.get("optional") or entry.get("peer") or entry.get("devOptional")),
        )
        for path, entry in lock["packages"].items()
        if "node_modules/" in path
    }


def _yarn_matches(root: Path, lock_file: Path, modules: Path, members: Iterable[str]) -> bool:
    """Compare with the note of yarn 1, whose lock file does not know the workspace's packages."""
    note = json.loads((modules / ".yarn-integrity").read_text())
    if not _YARN_PARTIAL.isdisjoint(note["flags"]):
        return False
    own = {
        f"{manifest['name']}@{manifest['version']}"
        for path in members
        if path and {"name", "version"} <= (manifest := _manifest(root / path)).keys()
    }
    if not own <= set(note["topLevelPatterns"]):
        return False
    entries: dict[str, str] = note["lockfileEntries"]
    return entries == dict(_yarn_entries(lock_file.read_text()))


def _manifest(directory: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((directory / "package.json").read_text("utf-8-sig"))
    return manifest


def _yarn_entries(lock: str) -> Iterator[tuple[str, str]]:
    """Yield each pattern of a yarn 1 lock file with the address that it was resolved to."""
    patterns: list[str] = []
    url = ""
    for line in lock.splitlines():
        if not line.startswith("#") and (entry := _YARN_ENTRY.match(line)):
            yield from ((pattern, url) for pattern in patterns)
            patterns = [part.strip().strip('"') for part in entry["patterns"].split(", ")]
            url = ""
        elif resolved := _YARN_RESOLVED.match(line):
            url = resolved["url"]
    yield from ((pattern, url) for pattern in patterns)


def _berry_matches(lock_file: Path, modules: Path) -> bool:
    state = _yaml(modules / ".yarn-state.yml")
    lock = _yaml(lock_file)
    present = {_VIRTUAL.sub("", key) for key in state if key != "__metadata"}
    locked = {entry["resolution"] for entry in lock.values() if "resolution" in entry}
    return _needed(lock) <= present <= locked


def _needed(lock: Mapping[str, Any]) -> set[str]:
    """Return what the workspace's packages need, but not what only some platforms need."""
    by_descriptor = {
        descriptor: entry for key, entry in lock.items() for descriptor in key.split(", ")
    }
    waiting = [
        entry for entry in lock.values() if "@workspace:" in str(entry.get("resolution", ""))
    ]
    needed: set[str] = set()
    while waiting:
        entry = waiting.pop()
        if "conditions" in entry or entry["resolution"] in needed:
            continue
        needed.add(entry["resolution"])
        for name, range_ in entry.get("dependencies", {}).items():
            if (found := by_descriptor.get(f"{name}@{range_}")) is not None:
                waiting.append(found)
    return needed


def _yaml(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        data: dict[str, Any] = yaml.load(file, Loader=_YAML)
    return data
