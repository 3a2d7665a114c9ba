"""What the build of a JavaScript package writes, as far as its files tell."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator
from typing import Any

from buildnet.pool.detect.directory import Files, is_below, resolved
from buildnet.pool.detect.manifest import Manifest
from buildnet.pool.detect.typescript import Compilation
from buildnet.pool.glob import escape

_FIELDS = ("main", "module", "types", "typings", "browser", "unpkg", "jsdelivr", "bin", "exports")
_WELL_KNOWN = ("dist", "build", "lib", "es", "esm", "cjs", "out", "types", "umd")
_BUILT_NAMES = frozenset({*_WELL_KNOWN, ".next", ".nuxt", ".output"} - {"lib", "types"})
_NO_NAME = "a-name-that-no-rule-means"
_SOURCE_NAMES = frozenset({"src", "source", "sources", "test", "tests", "__tests__", "scripts"})
_BUILDERS = {
    "next build": (".next", "out"),
    "nuxt build": (".output", ".nuxt"),
    "react-scripts build": ("build",),
    "docusaurus build": ("build",),
    "storybook build": ("storybook-static",),
    "ng build": ("dist",),
    "vite build": ("dist",),
    "webpack": ("dist",),
    "rollup": ("dist",),
    "rolldown": ("dist",),
    "tsup": ("dist",),
    "tsdown": ("dist",),
    "unbuild": ("dist",),
    "microbundle": ("dist",),
    "parcel build": ("dist",),
    "ng-packagr": ("dist",),
    "preconstruct build": ("dist",),
}
_PAPERS = re.compile(
    r"(?:licen[cs]e|notice|readme|changelog|changes|history|authors|copying|patents)(?:-\w+)?",
    re.IGNORECASE,
)
_OUTPUT_FLAG = re.compile(
    r"(?:^|\s)(?:--(?:out-dir|outDir|outdir|out|dir|dist-dir|output-path|declarationDir)|-d)"
    r"[ =]([\w./@-]+)"
)
_OUTPUT_FILE_FLAG = re.compile(r"(?:^|\s)(?:--(?:outfile|outFile|file)|-o)[ =]([\w./@-]+)")


def turbo_outputs(files: Files, manifest: Manifest, script: str) -> tuple[str, ...]:
    """Return the outputs that turbo.json names for the script that builds the package.

    None if it names none, or does not keep them: then nobody sees whether they are all.
    """
    own = f"{manifest.path}/turbo.json" if manifest.path else "turbo.json"
    candidates = [
        (own, script),
        ("turbo.json", f"{manifest.name}#{script}"),
        ("turbo.json", script),
    ]
    for where, task in candidates:
        data = files.json(where) or {}
        tasks = data.get("tasks", data.get("pipeline"))
        found = tasks.get(task) if isinstance(tasks, dict) else None
        described = found if isinstance(found, dict) else {}
        outputs = described.get("outputs")
        if isinstance(outputs, list) and described.get("cache") is not False:
            return tuple(_of_package(manifest.path, outputs))
    return ()


def _of_package(path: str, patterns: Iterable[object]) -> Iterator[str]:
    prefix = f"{escape(path)}/" if path else ""
    for pattern in patterns:
        if isinstance(pattern, str) and not pattern.startswith(("!", "/", "$TURBO", "../")):
            plain = pattern.removeprefix("./").rstrip("/")
            if plain and plain != "**":
                is_plain = not re.search(r"[*?\[{]", plain)
                yield f"{prefix}{plain}/**" if is_plain else f"{prefix}{plain}"


def unknown_outputs(path: str) -> str:
    """Return the note on a package whose build leaves nothing that is known of."""
    return f"{path or 'the root'}: what its build writes is not known; add outputs"


def detect_outputs(
    files: Files, manifest: Manifest, command: str, compiled: Compilation, *, script: str | None
) -> tuple[str, ...]:
    """Return patterns of what ``command``, the line of the package's ``script``, writes.

    With a ``script``, what turbo.json says of it counts more than what is found.
    """
    named = turbo_outputs(files, manifest, script) if script else ()
    if named:
        return named
    path = manifest.path
    said: dict[str, None] = dict.fromkeys(compiled.output_directories)
    for candidate in _named_by_command(command):
        at = resolved(path, candidate)
        if at:
            said[at] = None
    found: list[str] = []
    for candidate in dict.fromkeys(_named_by_manifest(manifest)):
        found += _first_output(files, path, candidate, said)
    found += [one for one in said if _is_output(files, path, one, said=True)]
    # Where everything is ignored that is not listed, being ignored says nothing of a name.
    prefix = f"{path}/" if path else ""
    tells = not files.is_ignored(f"{prefix}{_NO_NAME}", directory=True)
    for name in _WELL_KNOWN if tells else ():
        at = f"{prefix}{name}"
        if at not in found and files.is_ignored(at, directory=True):
            found.append(at)
    outputs = [f"{escape(one)}/**" for one in _outermost(dict.fromkeys(found))]
    outputs += _generated_files(files, manifest)
    if compiled.keeps_state:
        outputs.append(f"{escape(path)}/*.tsbuildinfo" if path else "*.tsbuildinfo")
    return tuple(outputs)


def _first_output(files: Files, path: str, candidate: str, said: Container[str]) -> Iterator[str]:
    """Yield the first directory on the way from the package to ``candidate`` that is written."""
    at = resolved(path, candidate)
    if at is None or not is_below(at, path):
        return
    directory = path
    for name in at[len(path) :].lstrip("/").split("/"):
        directory = f"{directory}/{name}" if directory else name
        if name in _SOURCE_NAMES:
            return
        if _is_output(files, path, directory, said=directory in said):
            yield directory
            return


def _named_by_manifest(manifest: Manifest) -> Iterator[str]:
    """Yield directories, relative to the package, that are outputs or lie in some if built."""
    for text in _texts(manifest):
        if "/" in text.removeprefix("./"):
            yield text.partition("*")[0].rpartition("/")[0]
    listed = manifest.data.get("files")
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, str) and not one.startswith("!"):
            plain = one.lstrip("/").removeprefix("./").partition("*")[0].rstrip("/")
            if plain and ("." not in plain or "/" in plain) and not _PAPERS.fullmatch(plain):
                yield plain


def _named_by_command(command: str) -> Iterator[str]:
    """Yield directories, relative to the package, that options or the kind of builder name."""
    yield from _OUTPUT_FLAG.findall(command)
    yield from (one.rpartition("/")[0] for one in _OUTPUT_FILE_FLAG.findall(command) if "/" in one)
    for builder, names in _BUILDERS.items():
        if re.search(rf"(?:^|[\s;&|(]){re.escape(builder)}(?=$|[\s;&|)])", command):
            yield from names


def _texts(manifest: Manifest) -> Iterator[str]:
    waiting: list[Any] = [manifest.data.get(field) for field in _FIELDS]
    while waiting:
        value = waiting.pop(0)
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _is_output(files: Files, path: str, candidate: str, *, said: bool) -> bool:
    """Return whether a directory is written by the build: ignored, or without tracked files.

    Where git can't tell, it is if the build's command or settings have ``said`` so, or by its name.
    """
    name = candidate.rpartition("/")[2]
    if is_below(path, candidate) or name in _SOURCE_NAMES:
        return False
    if files.is_ignored(candidate, directory=True):
        return True
    tracked = files.is_tracked(candidate)
    return (said or name in _BUILT_NAMES) if tracked is None else not tracked


def _generated_files(files: Files, manifest: Manifest) -> Iterator[str]:
    """Yield patterns of files beside the manifest that it names and .gitignore ignores."""
    seen: set[str] = set()
    for text in _texts(manifest):
        name = text.removeprefix("./")
        if "/" in name or "*" in name or "." not in name or name in seen:
            continue
        seen.add(name)
        at = f"{manifest.path}/{name}" if manifest.path else name
        if files.is_ignored(at, directory=False):
            yield f"{escape(at)}{{,.map}}"


def _outermost(directories: Iterable[str]) -> list[str]:
    every = list(directories)
    return [
        one for one in every if not any(other != one and is_below(one, other) for other in every)
    ]
