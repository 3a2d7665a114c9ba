"""``nx.json``, ``project.json`` and the key ``nx`` of ``package.json``: projects and their targets.

What plugins infer and what TypeScript imports tell is in no file: nx computes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from buildnet.pool.detect.manifest import MANIFEST
from buildnet.pool.detect.member_walk import MemberWalk
from buildnet.pool.importing.foreign import Said
from buildnet.pool.importing.settings_file import JsonPath, SettingsFile, read_settings

NX_FILE = "nx.json"
PROJECT_FILE = "project.json"
RUN_COMMANDS = ("nx:run-commands", "@nrwl/workspace:run-commands")
RUN_SCRIPT = ("nx:run-script", "@nrwl/workspace:run-script")
_EVERYWHERE = ("**", "!**/node_modules/**", "!**/dist/**")


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is said: a file, and the way to it there."""

    file: SettingsFile
    path: JsonPath

    @property
    def value(self) -> Any:
        return self.file.value(*self.path)

    def below(self, *keys: str | int) -> Place:
        return Place(self.file, (*self.path, *keys))

    def said(self, text: str) -> Said:
        return Said(text, self.file.where, self.file.line(*self.path))


@dataclass(frozen=True, slots=True)
class NxTarget:
    """A target: what the project says of it before what nx.json has for all of its kind."""

    name: str
    layers: tuple[Place, ...]
    """The project's own first, then the defaults."""
    script: bool
    """Whether the project's package.json has a script of this name."""

    def find(self, key: str) -> Place | None:
        """Return where a key is said that counts."""
        return next(
            (one.below(key) for one in self.layers if one.below(key).value is not None), None
        )

    def value(self, key: str) -> Any:
        """Return what is said for a key; None for nothing."""
        found = self.find(key)
        return None if found is None else found.value

    @property
    def options(self) -> Mapping[str, Any]:
        """The options of all layers together with those of its default configuration."""
        merged: dict[str, Any] = {}
        for layer in reversed(self.layers):
            merged.update(_mapping(layer.below("options").value))
        configuration = self.value("defaultConfiguration")
        for layer in reversed(self.layers):
            if isinstance(configuration, str):
                merged.update(_mapping(layer.below("configurations", configuration).value))
        return merged


@dataclass(frozen=True, slots=True)
class NxProject:
    """A project; ``files`` are its project.json and package.json, as far as they are there."""

    name: str
    path: str
    files: tuple[SettingsFile, ...]
    scripts: tuple[str, ...]
    needs: tuple[Said, ...]
    """``implicitDependencies``."""
    called: str
    """Its name in project.json, which may be another."""

    def targets(self, nx: SettingsFile) -> Iterator[NxTarget]:
        """Yield the targets that the files name, and the scripts that nx.json says something of."""
        own: dict[str, list[Place]] = {}
        for file in self.files:
            at: JsonPath = ("nx", "targets") if file.where.endswith(MANIFEST) else ("targets",)
            for name in file.mapping(*at):
                own.setdefault(name, []).append(Place(file, (*at, name)))
        for script in self.scripts:
            own.setdefault(script, [])
        for name, places in own.items():
            executor = next((one.below("executor").value for one in places), None)
            keys = (executor, name) if isinstance(executor, str) else (name,)
            defaults = [Place(nx, ("targetDefaults", one)) for one in keys]
            said = [one for one in defaults if isinstance(one.value, dict)]
            yield NxTarget(name, (*places, *said[:1]), name in self.scripts)

    def named_inputs(self, nx: SettingsFile) -> dict[str, Place]:
        """Return the lists that inputs can name."""
        found = {one: Place(nx, ("namedInputs", one)) for one in nx.mapping("namedInputs")}
        for file in reversed(self.files):
            at: JsonPath = ("nx",) if file.where.endswith(MANIFEST) else ()
            for name in file.mapping(*at, "namedInputs"):
                found[name] = Place(file, (*at, "namedInputs", name))
        return found


def read_projects(root: Path, members: Mapping[str, str]) -> tuple[NxProject, ...]:
    """Read the projects: the ``members`` (name -> path), and where there is a project.json.

    Raises:
        WorkspaceError: one of the files cannot be read.
    """
    walk = MemberWalk(root, PROJECT_FILE, _EVERYWHERE)
    paths = {path: name for name, path in members.items()}
    for path in walk.paths():
        paths.setdefault(path, "")
    found = (_project(root, path, name) for path, name in sorted(paths.items()))
    return tuple(one for one in found if one is not None)


def _project(root: Path, path: str, name: str) -> NxProject | None:
    prefix = f"{path}/" if path else ""
    project = read_settings(root, f"{prefix}{PROJECT_FILE}")
    manifest = read_settings(root, f"{prefix}{MANIFEST}")
    files = tuple(one for one in (project, manifest) if one is not None)
    if not files:
        return None
    said = project.value("name") if project is not None else None
    called = said if isinstance(said, str) and said else ""
    scripts = manifest.mapping("scripts") if manifest is not None else {}
    listed = manifest.texts("nx", "includedScripts") if manifest is not None else None
    needs = [
        Place(file, (*at, "implicitDependencies", index))
        for file in files
        for at in ((("nx",) if file.where.endswith(MANIFEST) else ()),)
        for index, _ in enumerate(file.texts(*at, "implicitDependencies") or ())
    ]
    return NxProject(
        name=name or called or path.rpartition("/")[2],
        path=path,
        files=files,
        scripts=tuple(one for one in scripts if listed is None or one in listed),
        needs=tuple(one.said(one.value) for one in needs if isinstance(one.value, str)),
        called=called or name,
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
