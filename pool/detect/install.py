"""How the third-party dependencies of an npm, yarn or pnpm workspace are installed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from buildnet.pool.detect.install_manifest import scripts_left_out
from buildnet.pool.detect.local import local_dependencies
from buildnet.pool.detect.manifest import MANIFEST
from buildnet.pool.detect.members import PNPM_FILE, Members, read_members
from buildnet.pool.workspace import Install, WorkspaceError

LOCK_FILES = {
    "pnpm": ("pnpm-lock.yaml",),
    "yarn": ("yarn.lock",),
    "npm": ("package-lock.json", "npm-shrinkwrap.json"),
}
_SETTINGS = (".npmrc", ".yarnrc", ".yarnrc.yml", PNPM_FILE, ".pnpmfile.cjs", ".pnpmfile.mjs")
_DIRECTORIES = ("patches", ".yarn/patches", ".yarn/plugins", ".yarn/releases")
_FIELD = re.compile(r"(npm|yarn|pnpm)(?:@\^?v?(\d+))?")


class InstallDescription(NamedTuple):
    """The install action (None: nothing to install, or no lock file), and what it is from."""

    install: Install | None
    notes: tuple[str, ...]
    files: tuple[str, ...]


def package_manager(root: Path, members: Members) -> str:
    """Return the manager that the ``packageManager`` field, the lock file or the layout tells."""
    match = _FIELD.match(members.root.text("packageManager") or "")
    if match:
        return match[1]
    for manager, names in LOCK_FILES.items():
        if any((root / name).is_file() for name in names):
            return manager
    return "pnpm" if (root / PNPM_FILE).is_file() else "npm"


def describe_install(
    root: Path, *, manager: str, command: str | None = None, members: Members | None = None
) -> InstallDescription:
    """Return how ``manager`` installs the workspace at ``root``.

    ``command`` replaces the manager's usual one. ``members`` are those of the root if they have
    been read already; without them the install was asked for, and what prevents it is an error.

    Raises:
        WorkspaceError: the install was asked for, but there is no manifest or no lock file.
    """
    asked = members is None
    members = members or read_members(root)
    if members is None:
        raise WorkspaceError(f"install: there is no {MANIFEST} at the root", hint="remove install")
    lock_file = next((one for one in LOCK_FILES[manager] if (root / one).is_file()), None)
    candidates = (*LOCK_FILES[manager], *_SETTINGS, *_DIRECTORIES)
    files = (*candidates, *members.files)
    if lock_file is None:
        names = " or ".join(LOCK_FILES[manager])
        if asked:
            raise WorkspaceError(
                f"install: there is no {names}", hint=f"make it: {manager} install"
            )
        missing = f"there is no {names}, so dependencies cannot be installed reproducibly: "
        needed = _third_party(members)
        note = f"{missing}make it with `{manager} install` and commit it"
        return InstallDescription(None, (note,) if needed else (), files)
    if not asked and not _third_party(members):
        return InstallDescription(None, (), files)
    left_out = sorted(
        f"{one.path or '.'}: {name}"
        for one in (members.root, *members.members)
        for name in scripts_left_out(one.scripts)
    )
    paths = [one.path for one in members.members]
    manifests = [MANIFEST, *(f"{path}/{MANIFEST}" for path in paths)]
    settings = [one for one in _SETTINGS if (root / one).is_file()]
    directories = [f"{one}/**" for one in _DIRECTORIES if _holds_files(root / one)]
    locals_ = [one.as_input(root, manager) for one in local_dependencies(root, members)]
    usual = _command(root, manager, lock_file, members)
    install = Install(
        manager=manager,
        command=command or usual,
        inputs=tuple(dict.fromkeys((lock_file, *manifests, *settings, *directories, *locals_))),
        lock_file=lock_file,
        roots=("", *paths),
        own_scripts=command not in {None, usual},
    )
    notes: tuple[str, ...] = ()
    if left_out and not install.own_scripts:
        shown = ", ".join(left_out[:3]) + (" and more" if len(left_out) > 3 else "")
        notes = (
            f"installing runs the scripts of third-party packages, but not the workspace's own "
            f"({shown}): they may need files that installing does not see; with an install.command "
            "they run",
        )
    return InstallDescription(install, notes, files)


def _command(root: Path, manager: str, lock_file: str, members: Members) -> str:
    if manager == "npm":
        return "npm ci --no-audit --no-fund"
    if manager == "pnpm":
        return "pnpm install --frozen-lockfile"
    if is_berry(root, lock_file, members):
        return "yarn install --immutable"
    return "yarn install --frozen-lockfile --non-interactive"


def is_berry(root: Path, lock_file: str, members: Members) -> bool:
    """Return whether the workspace is one of yarn 2 or later."""
    match = _FIELD.match(members.root.text("packageManager") or "")
    if match and match[1] == "yarn" and match[2]:
        return int(match[2]) >= 2
    if (root / ".yarnrc.yml").is_file():
        return True
    with (root / lock_file).open("rb") as file:
        return b"__metadata:" in file.read(4096)


def _third_party(members: Members) -> bool:
    own = {one.name for one in (members.root, *members.members)}
    return any(
        name not in own
        for one in (members.root, *members.members)
        for name in (*one.needs, *one.needs_to_build)
    )


def _holds_files(directory: Path) -> bool:
    below: Iterable[Path] = directory.rglob("*") if directory.is_dir() else ()
    return any(path.is_file() for path in below)
