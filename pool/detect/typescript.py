"""What tsconfig files tell: where they put what they build, and what they read elsewhere."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from buildnet.pool.detect.directory import Files, resolved

_PROJECT = re.compile(r"(?:^|\s)(?:-p|--project|-b|--build|--tsconfig)[ =]([\w./@-]+)")


class Compilation(NamedTuple):
    """One tsconfig with what it extends: paths relative to the root."""

    output_directories: tuple[str, ...]
    keeps_state: bool
    """Whether it writes .tsbuildinfo files."""
    reads: tuple[str, ...]
    """The tsconfig files that it extends or refers to, and what it includes from elsewhere."""


def compilation(files: Files, path: str, command: str) -> Compilation:
    """Return what the tsconfig files of a package say: its own, and those its command names."""
    names = {f"{path}/tsconfig.json" if path else "tsconfig.json"}
    for named in _PROJECT.findall(command):
        at = resolved(path, named)
        if at is not None:
            names.add(at if at.endswith(".json") else f"{at}/tsconfig.json")
    outputs: dict[str, None] = {}
    reads: dict[str, None] = {}
    keeps_state = "--incremental" in command
    for name in sorted(names):
        chain = _with_extended(files, name)
        options = _options(chain)
        for key in ("outDir", "declarationDir"):
            if key in options:
                where, value = options[key]
                at = resolved(where, value.replace("${configDir}", "."))
                if at:
                    outputs[at] = None
        keeps_state |= bool({"composite", "incremental"} & options.keys())
        for config, data in chain:
            reads[config] = None
            reads.update(dict.fromkeys(_elsewhere(files, config, data)))
    return Compilation(tuple(outputs), keeps_state, tuple(reads))


def _with_extended(files: Files, name: str) -> list[tuple[str, dict[str, Any]]]:
    """Return a tsconfig and those it extends, the nearest first; packages' own are left out."""
    found: list[tuple[str, dict[str, Any]]] = []
    waiting, seen = [name], {name}
    while waiting:
        config = waiting.pop(0)
        data = files.json(config)
        if data is None:
            continue
        found.append((config, data))
        extended = data.get("extends")
        for one in extended if isinstance(extended, list) else [extended]:
            if not isinstance(one, str) or not one.startswith("."):
                continue
            at = resolved(config.rpartition("/")[0], one)
            if at is not None and not at.endswith(".json"):
                at = f"{at}.json"
            if at is not None and at not in seen:
                seen.add(at)
                waiting.append(at)
    return found


def _options(chain: list[tuple[str, dict[str, Any]]]) -> dict[str, tuple[str, str]]:
    """Return option -> (directory that it is relative to, value), the nearest file's."""
    found: dict[str, tuple[str, str]] = {}
    for config, data in chain:
        options = data.get("compilerOptions")
        for key, value in options.items() if isinstance(options, dict) else ():
            if isinstance(value, str):
                base = chain[0][0] if "${configDir}" in value else config
                found.setdefault(key, (base.rpartition("/")[0], value))
            elif value is True:
                found.setdefault(key, ("", "true"))
    return found


def _elsewhere(files: Files, config: str, data: dict[str, Any]) -> list[str]:
    """Return what a tsconfig takes from outside of its directory."""
    directory = config.rpartition("/")[0]
    found: list[str] = []
    references = data.get("references")
    for reference in references if isinstance(references, list) else ():
        named = reference.get("path") if isinstance(reference, dict) else None
        at = resolved(directory, named) if isinstance(named, str) else None
        if at is not None:
            found.append(at if at.endswith(".json") else f"{at}/tsconfig.json".lstrip("/"))
    for key in ("include", "files"):
        listed = data.get(key)
        for one in listed if isinstance(listed, list) else ():
            if isinstance(one, str) and one.startswith("../"):
                at = resolved(directory, one)
                if at is not None:
                    found.append(f"{at}/**" if files.is_directory(at) else at)
    return found
