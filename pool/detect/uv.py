"""The workspace of uv that pyproject.toml files describe.

A member is built into a wheel and a source archive in its directory ``dist``. Tests run in an
environment that uv makes from the lock file.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from buildnet.pool.detect.member_walk import MemberWalk
from buildnet.pool.detect.names import distinct_name, unique_names
from buildnet.pool.detect.toml_manifest import TomlManifest, read_toml
from buildnet.pool.glob import escape
from buildnet.pool.graph import CycleError, sort
from buildnet.pool.workspace import BUILD, WORKSPACE_FILE, Package, Task, TaskId, Workspace

PROJECT_FILE = "pyproject.toml"
_LOCK_FILE = "uv.lock"
_SETTINGS = ("uv.toml", ".python-version")
_OWN_BACKEND = "uv_build"
_ENVIRONMENT = ".cache/venv"  # nothing there counts as written and forgotten
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def declares_projects(directory: Path) -> bool:
    """Return whether the directory is the root of a workspace of uv."""
    manifest = read_toml(directory, "", PROJECT_FILE)
    return manifest is not None and isinstance(manifest.value("tool", "uv", "workspace"), dict)


def detect_uv(root: Path) -> Workspace | None:
    """Return the workspace that the pyproject.toml at ``root`` describes; None if there is none.

    Raises:
        WorkspaceError: manifests that cannot be read, or two packages of one name.
    """
    root = root.resolve()
    own = read_toml(root, "", PROJECT_FILE)
    if own is None or not isinstance(own.value("tool", "uv", "workspace"), dict):
        return None
    return _Detection(root, own).workspace()


def _plain(name: str) -> str:
    """Return a name as packages are compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


class _Detection:
    """Gathers a workspace from manifests that have been read."""

    def __init__(self, root: Path, own: TomlManifest) -> None:
        self._root = root
        self._own = own
        self._notes: list[str] = []
        patterns = own.texts("tool", "uv", "workspace", "members")
        unwanted = (f"!{one}" for one in own.texts("tool", "uv", "workspace", "exclude"))
        walk = MemberWalk(root, PROJECT_FILE, (*patterns, *unwanted))
        members = [read_toml(root, path, PROJECT_FILE) for path in walk.paths()]
        rooted = [own] if "project" in own.data else []
        self._manifests = unique_names(
            (one for one in (*rooted, *members) if one is not None),
            lambda one: one.text("project", "name"),
            PROJECT_FILE,
            self._notes,
        )
        self._known = {_plain(name): name for name in self._manifests}
        self._seen = walk.seen

    def workspace(self) -> Workspace:
        """Return the workspace."""
        needs = self._edges()
        packages = {
            name: self._package(name, one, needs[name]) for name, one in self._manifests.items()
        }
        if not (self._root / _LOCK_FILE).is_file():
            self._notes.append(f"there is no {_LOCK_FILE}: make it with `uv lock` and commit it")
        self._tell_network()
        looked_at = (WORKSPACE_FILE, PROJECT_FILE, _LOCK_FILE, *_SETTINGS)
        own = (f"{one.path}/{PROJECT_FILE}".lstrip("/") for one in self._manifests.values())
        return Workspace(
            name=distinct_name(self._own.text("project", "name") or self._root.name),
            root=self._root,
            file=None,
            packages=packages,
            notes=tuple(self._notes),
            definition_files=tuple(dict.fromkeys((*looked_at, *own, *sorted(self._seen)))),
        )

    def _edges(self) -> dict[str, tuple[str, ...]]:
        """Return what each member needs; circles through groups for development are opened."""
        strong = {name: tuple(self._needs(one, False)) for name, one in self._manifests.items()}
        found = dict(strong)
        for name, one in self._manifests.items():
            for needed in self._needs(one, True):
                more = {**found, name: tuple(dict.fromkeys((*found[name], needed)))}
                try:
                    sort(more)
                except CycleError:
                    if needed not in strong[name]:
                        self._notes.append(f"left out of a circle: {name} -> {needed} (dev)")
                else:
                    found = more
        return found

    def _needs(self, manifest: TomlManifest, to_develop: bool) -> Iterator[str]:
        """Yield the members that one requires and takes from the workspace."""
        required = list(manifest.texts("project", "dependencies"))
        for extra in manifest.table("project", "optional-dependencies"):
            required += manifest.texts("project", "optional-dependencies", extra)
        required += manifest.texts("build-system", "requires")
        if to_develop:
            required = [*manifest.texts("tool", "uv", "dev-dependencies")]
            for group in manifest.table("dependency-groups"):
                required += manifest.texts("dependency-groups", group)
        sources = {
            _plain(name)
            for one in (self._own, manifest)
            for name, source in one.table("tool", "uv", "sources").items()
            if isinstance(source, dict) and source.get("workspace") is True
        }
        own = manifest.text("project", "name")
        for text in dict.fromkeys(required):
            match = _NAME.match(text.strip())
            plain = _plain(match[0]) if match else ""
            if plain in sources and plain in self._known and self._known[plain] != own:
                yield self._known[plain]

    def _package(self, name: str, manifest: TomlManifest, needs: tuple[str, ...]) -> Package:
        prefix = f"{escape(manifest.path)}/" if manifest.path else ""
        builds = tuple(TaskId(one, BUILD) for one in needs)
        offline = self._is_offline(manifest)
        unplugged = " --offline" if offline else ""
        build = Task(
            package=name,
            name=BUILD,
            command=f"uv build{unplugged} --package {shlex.quote(name)} --out-dir dist"
            if _is_built(manifest)
            else None,
            path=manifest.path,
            depends_on=builds,
            sources=self._sources(manifest),
            exports=(),
            exports_sources=True,
            outputs=(f"{prefix}dist/**",) if _is_built(manifest) else (),
            tools=("uv", "python3"),
            env={
                "UV_LINK_MODE": "copy",
                "UV_PYTHON_DOWNLOADS": "never",
                "UV_SYSTEM_CERTS": "1",
            },
            env_paths={"UV_PROJECT_ENVIRONMENT": _ENVIRONMENT},
            network=not offline,
            transitive=True,
        )
        tasks = {BUILD: build}
        if self._is_tested(manifest):
            tasks["test"] = Task(
                package=name,
                name="test",
                command=f"uv run --frozen --package {shlex.quote(name)} {self._pytest(manifest)}",
                path=manifest.path,
                depends_on=builds,
                sources=build.sources,
                tools=build.tools,
                env=build.env,
                env_paths=build.env_paths,
                network=True,
                transitive=True,
            )
        return Package(name, manifest.path, needs, tasks)

    def _is_offline(self, manifest: TomlManifest) -> bool:
        """Return whether building needs nothing but uv itself."""
        return not _is_built(manifest) or manifest.text("build-system", "build-backend") == (
            _OWN_BACKEND
        )

    def _sources(self, manifest: TomlManifest) -> tuple[str, ...]:
        """Return what a member reads besides its own files: the lock file, and all manifests."""
        shared = [one for one in (_LOCK_FILE, *_SETTINGS) if (self._root / one).is_file()]
        paths = dict.fromkeys(("", *(one.path for one in self._manifests.values())))
        shared += [f"{escape(path)}/{PROJECT_FILE}".lstrip("/") for path in paths]
        if manifest.path:
            below = f"{manifest.path}/"
            shared += [f"!{escape(one)}/**" for one in paths if one.startswith(below)]
        return tuple(dict.fromkeys(shared))

    def _is_tested(self, manifest: TomlManifest) -> bool:
        """Return whether the member has tests, and pytest is what the workspace tests with."""
        directory = self._root / manifest.path
        if not any((directory / one).is_dir() for one in ("tests", "test")):
            return False
        return any(
            "pytest" in one.table("tool") or any(map(_is_pytest, _every_requirement(one)))
            for one in (self._own, manifest)
        )

    def _pytest(self, manifest: TomlManifest) -> str:
        """Return how pytest is started: what only another member requires has to be added."""
        if any(map(_is_pytest, _every_requirement(manifest))):
            return "pytest"
        lock = read_toml(self._root, "", _LOCK_FILE)
        locked = lock.tables("package") if lock is not None else ()
        version = next((one.get("version") for one in locked if one.get("name") == "pytest"), None)
        wanted = shlex.quote(f"pytest=={version}") if version else "pytest"
        return f"--with {wanted} pytest"

    def _tell_network(self) -> None:
        fetching = [
            name
            for name, one in self._manifests.items()
            if _is_built(one) and not self._is_offline(one)
        ]
        if fetching:
            shown = ", ".join(fetching[:3]) + (" and more" if len(fetching) > 3 else "")
            self._notes.append(
                f"building {shown} fetches its build backend, so it has the network; the backend "
                f"{_OWN_BACKEND} needs none"
            )
        if any(self._is_tested(one) for one in self._manifests.values()):
            self._notes.append("tests fetch what uv.lock names, so they have the network")


def _is_built(manifest: TomlManifest) -> bool:
    """Return whether uv makes a wheel of a member."""
    said = manifest.value("tool", "uv", "package")
    return "build-system" in manifest.data if not isinstance(said, bool) else said


def _every_requirement(manifest: TomlManifest) -> Iterator[str]:
    yield from manifest.texts("project", "dependencies")
    yield from manifest.texts("tool", "uv", "dev-dependencies")
    for group in manifest.table("dependency-groups"):
        yield from manifest.texts("dependency-groups", group)
    for extra in manifest.table("project", "optional-dependencies"):
        yield from manifest.texts("project", "optional-dependencies", extra)


def _is_pytest(requirement: str) -> bool:
    match = _NAME.match(requirement.strip())
    return match is not None and _plain(match[0]) == "pytest"
