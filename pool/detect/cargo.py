"""The workspace that Cargo.toml files describe.

A package that makes a program or a library for others than Rust is built by ``cargo build``, and so
is a library that no other member uses. The others are compiled with those who use them: what cargo
leaves between two steps holds times and paths, so that no two actions can share it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from buildnet.pool.detect.directory import resolved
from buildnet.pool.detect.member_walk import MemberWalk
from buildnet.pool.detect.names import distinct_name, unique_names
from buildnet.pool.detect.toml_manifest import TomlManifest, read_toml
from buildnet.pool.glob import escape, unescape
from buildnet.pool.workspace import (
    BUILD,
    WORKSPACE_FILE,
    Package,
    Task,
    TaskId,
    Workspace,
)

CARGO_FILE = "Cargo.toml"
_LOCK_FILE = "Cargo.lock"
_SETTINGS = (
    ".cargo/config.toml",
    ".cargo/config",
    "rust-toolchain.toml",
    "rust-toolchain",
    "clippy.toml",
    "rustfmt.toml",
)
_DEPENDENCIES = ("dependencies", "build-dependencies")
_TO_TEST = ("dev-dependencies",)
_ENDINGS = {"cdylib": "{so,dylib}", "dylib": "{so,dylib}", "staticlib": "a"}
_WORK = ".cache/cargo"  # nothing there counts as written and forgotten
_MADE = "target/debug"
_TARGETS = {"bin": "src/bin", "test": "tests", "bench": "benches", "example": "examples"}
_SHOWS_MEMBERS = (
    "(cd {root} && find . {depth}-name Cargo.toml | while read -r each; do "
    'at="${{each%/*}}/src"; '
    '[ -e "$at" ] || {{ mkdir "$at" && : > "$at/lib.rs" && echo "$at"; }}; '
    'done > "$TMPDIR/empty") && {command} && (cd {root} && xargs -r rm -r < "$TMPDIR/empty")'
)
"""Cargo wants every member to have a source file, so those that are no inputs get an empty one, as
long as it runs."""


def declares_crates(directory: Path) -> bool:
    """Return whether the directory is the root of a Cargo workspace."""
    manifest = read_toml(directory, "", CARGO_FILE)
    return manifest is not None and "workspace" in manifest.data


def is_crate(directory: Path) -> bool:
    """Return whether the directory is a package of Cargo."""
    manifest = read_toml(directory, "", CARGO_FILE)
    return manifest is not None and "package" in manifest.data


def detect_cargo(root: Path) -> Workspace | None:
    """Return the workspace that the Cargo.toml at ``root`` describes; None if there is none.

    Raises:
        WorkspaceError: manifests that cannot be read, or two packages of one name.
    """
    root = root.resolve()
    own = read_toml(root, "", CARGO_FILE)
    if own is None or not {"workspace", "package"} & own.data.keys():
        return None
    return _Detection(root, own).workspace()


class _Detection:
    """Gathers a workspace from manifests that have been read."""

    def __init__(self, root: Path, own: TomlManifest) -> None:
        self._root = root
        self._own = own
        self._notes: list[str] = []
        unwanted = own.texts("workspace", "exclude")
        patterns = own.texts("workspace", "members")
        walk = MemberWalk(root, CARGO_FILE, (*patterns, *(f"!{one}" for one in unwanted)))
        paths = dict.fromkeys((*walk.paths(), *self._linked(unwanted)))
        members = (read_toml(root, path, CARGO_FILE) for path in sorted(paths))
        rooted = [own] if "package" in own.data else []
        self._manifests = unique_names(
            (one for one in (*rooted, *members) if one is not None and "package" in one.data),
            lambda one: one.text("package", "name"),
            CARGO_FILE,
            self._notes,
        )
        self._by_path = {one.path: name for name, one in self._manifests.items()}
        self._seen = walk.seen

    def workspace(self) -> Workspace:
        """Return the workspace."""
        needs = {name: self._needs(one, _DEPENDENCIES) for name, one in self._manifests.items()}
        used = {needed for names in needs.values() for needed in names}
        packages = {
            name: self._package(name, one, needs[name], used)
            for name, one in self._manifests.items()
        }
        if self._third_party() and not self._is_vendored():
            self._notes.append(
                "crates of a registry are not there without network: run `cargo vendor`, put what "
                "it prints into .cargo/config.toml and commit both, or set network: true"
            )
        if not (self._root / _LOCK_FILE).is_file():
            self._notes.append(f"there is no {_LOCK_FILE}: make it with `cargo generate-lockfile`")
        looked_at = (CARGO_FILE, "src", "src/bin")
        manifests = (
            f"{one.path}/{name}".lstrip("/")
            for one in self._manifests.values()
            for name in looked_at
        )
        return Workspace(
            name=distinct_name(self._own.text("package", "name") or self._root.name),
            root=self._root,
            file=None,
            packages=packages,
            notes=tuple(self._notes),
            definition_files=tuple(
                dict.fromkeys((WORKSPACE_FILE, CARGO_FILE, _LOCK_FILE, *manifests, *self._seen))
            ),
        )

    def _linked(self, unwanted: Iterable[str]) -> Iterator[str]:
        """Yield path dependencies of members that lie below the root: members without saying so."""
        waiting, seen = [self._own], {""}
        patterns = self._own.texts("workspace", "members")
        for path in MemberWalk(self._root, CARGO_FILE, patterns).paths():
            if (found := read_toml(self._root, path, CARGO_FILE)) is not None:
                waiting.append(found)
        excluded = tuple(one.rstrip("/") for one in unwanted)
        while waiting:
            for at in self._paths(waiting.pop(), (*_DEPENDENCIES, *_TO_TEST)):
                if at in seen or any(at == one or at.startswith(f"{one}/") for one in excluded):
                    continue
                seen.add(at)
                if (found := read_toml(self._root, at, CARGO_FILE)) is not None:
                    waiting.append(found)
                    yield at

    def _paths(self, manifest: TomlManifest, kinds: Iterable[str]) -> Iterator[str]:
        """Yield the directories that dependencies lead to by their paths."""
        for name, spec in _specs(manifest, kinds):
            path, base = spec.get("path"), manifest.path
            if spec.get("workspace") is True:
                path, base = self._own.value("workspace", "dependencies", name, "path"), ""
            at = resolved(base, path) if isinstance(path, str) else None
            if at is not None:
                yield at

    def _needs(self, manifest: TomlManifest, kinds: Iterable[str]) -> tuple[str, ...]:
        """Return the members that one depends on."""
        paths = self._paths(manifest, kinds)
        names = (self._by_path[at] for at in paths if at in self._by_path)
        own = self._by_path[manifest.path]
        return tuple(dict.fromkeys(one for one in names if one != own))

    def _package(
        self, name: str, manifest: TomlManifest, needs: tuple[str, ...], used: set[str]
    ) -> Package:
        crate = manifest.text("package", "name") or name
        outputs = tuple(_outputs(self._root, manifest, crate))
        is_library = not outputs and name in used
        builds = tuple(TaskId(one, BUILD) for one in needs)
        build = Task(
            package=name,
            name=BUILD,
            command=None if is_library else self._build_command(manifest, crate, outputs),
            path=manifest.path,
            depends_on=builds,
            sources=self._sources(manifest),
            exports=(),
            exports_sources=True,
            outputs=outputs,
            tools=("cargo", "rustc", "cc"),
            env={"CARGO_INCREMENTAL": "0"},
            env_paths={"CARGO_TARGET_DIR": _WORK},
            transitive=True,
        )
        to_test = self._needs(manifest, _TO_TEST)
        more = tuple(TaskId(one, BUILD) for one in to_test if one not in needs)
        test = Task(
            package=name,
            name="test",
            command=self._command("test", manifest, crate),
            path=manifest.path,
            depends_on=(*more, *builds),
            sources=build.sources,
            tools=(*build.tools, "rustdoc"),
            env=build.env,
            env_paths=build.env_paths,
            transitive=True,
        )
        return Package(name, manifest.path, needs, {BUILD: build, "test": test})

    def _build_command(self, manifest: TomlManifest, crate: str, outputs: tuple[str, ...]) -> str:
        command = self._command("build", manifest, crate)
        if not outputs:
            return command
        root = _way_up(manifest)
        names = (one.rpartition("/")[2] for one in outputs)
        made = " ".join(f"{root}/{_WORK}/debug/{_in_shell(name)}" for name in names)
        return f"{command} && mkdir -p {root}/{_MADE} && cp {made} {root}/{_MADE}/"

    def _command(self, verb: str, manifest: TomlManifest, crate: str) -> str:
        root = _way_up(manifest)
        command = f"cargo {verb} --offline --locked -p {shlex.quote(crate)}"
        if len(self._manifests) == 1:
            return command
        depth = "" if "package" in self._own.data else "-mindepth 2 "
        return _SHOWS_MEMBERS.format(root=root, depth=depth, command=command)

    def _sources(self, manifest: TomlManifest) -> tuple[str, ...]:
        """Return what a package reads besides its own files: what the whole workspace shares, and
        the manifests of all members."""
        settings = (one for one in _SETTINGS if (self._root / one).is_file())
        manifests = [f"{escape(path)}/{CARGO_FILE}" for path in self._by_path if path]
        manifests += [one for each in self._manifests.values() for one in _named_files(each)]
        vendored = [f"{escape(one)}/**" for one in self._vendored()]
        nested = (
            f"!{escape(path)}/**"
            for path in self._by_path
            if path != manifest.path and (not manifest.path or path.startswith(f"{manifest.path}/"))
        )
        outside = (
            f"{escape(at)}/**"
            for at in self._paths(manifest, _DEPENDENCIES)
            if at not in self._by_path
        )
        # A root package has its members' manifests only if they are not excluded with the rest.
        excluded = nested if manifest.path else ()
        found = (CARGO_FILE, _LOCK_FILE, *settings, *manifests, *vendored, *outside, *excluded)
        return tuple(dict.fromkeys(found))

    def _vendored(self) -> Iterator[str]:
        """Yield the directories that the settings name instead of a registry."""
        for name in _SETTINGS[:2]:
            parent, _, file = name.partition("/")
            settings = read_toml(self._root, parent, file)
            for source in settings.table("source").values() if settings is not None else ():
                named = source.get("directory") if isinstance(source, dict) else None
                at = resolved("", named) if isinstance(named, str) else None
                if at:
                    yield at

    def _is_vendored(self) -> bool:
        return any(True for _ in self._vendored())

    def _third_party(self) -> bool:
        lock = read_toml(self._root, "", _LOCK_FILE)
        return lock is not None and any("source" in one for one in lock.tables("package"))


def _in_shell(name: str) -> str:
    """Return the file of an output as the shell finds it, whichever of two endings it has."""
    stem, either, _ = name.partition(".{so,dylib}")
    plain = shlex.quote(unescape(stem))
    return f"{plain}.[sd][oy]*" if either else plain


def _way_up(manifest: TomlManifest) -> str:
    """Return the path from a package to the root."""
    return "/".join([".."] * (manifest.path.count("/") + 1)) if manifest.path else "."


def _specs(
    manifest: TomlManifest, kinds: Iterable[str]
) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Yield name and table of dependencies, those of single platforms among them."""
    tables = [manifest.table(kind) for kind in kinds]
    for target in manifest.table("target").values():
        found = (target.get(kind) for kind in kinds) if isinstance(target, dict) else ()
        tables += [one for one in found if isinstance(one, dict)]
    for table in tables:
        for name, spec in table.items():
            if isinstance(spec, dict):
                yield name, spec


def _outputs(root: Path, manifest: TomlManifest, crate: str) -> Iterator[str]:
    """Yield the files that others than Rust can use: programs, and libraries of such kinds."""
    directory = root / manifest.path
    programs = dict.fromkeys(
        name for one in manifest.tables("bin") if isinstance(name := one.get("name"), str)
    )
    if manifest.value("package", "autobins") is not False:
        if (directory / "src/main.rs").is_file() and not any(
            one.get("path") == "src/main.rs" for one in manifest.tables("bin")
        ):
            programs[crate] = None
        beside = directory / "src/bin"
        for each in sorted(beside.iterdir()) if beside.is_dir() else ():
            if each.suffix == ".rs" or (each / "main.rs").is_file():
                programs.setdefault(each.stem)
    for name in programs:
        yield f"{_MADE}/{escape(name)}"
    library = (manifest.text("lib", "name") or crate).replace("-", "_")
    for kind in manifest.texts("lib", "crate-type"):
        if kind in _ENDINGS:
            yield f"{_MADE}/lib{library}.{_ENDINGS[kind]}"


def _named_files(manifest: TomlManifest) -> Iterator[str]:
    """Yield the files of targets that are declared without a path: cargo wants them to be there,
    whichever member it builds."""
    for kind, directory in _TARGETS.items():
        for target in manifest.tables(kind):
            if "path" not in target and isinstance(name := target.get("name"), str):
                yield f"{escape(manifest.path)}/{directory}/{escape(name)}.rs".lstrip("/")
