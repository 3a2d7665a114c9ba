"""Random edits of a random workspace: chosen as plain data, so that they replay."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from buildnet.mesh.errors import BuildNetError
from testbed.workspaces import (
    FAILING,
    IN_PLACE,
    LOCK_FILE,
    MANIFEST,
    NAMES,
    Definition,
    changed_definition,
    described,
    read_definition,
)

Edit = list[Any]
"""Its kind, then what that takes; as JSON."""

OUTSIDE = "OUTSIDE/"
"""In a link: the directory beside the workspace, wherever that lies."""

_DATE_S = 1_600_000_000
_IGNORED = ("*.log", "tmp/", "/skip.c", "src/deep/", "!x.log", "notes", "*.c\n!a.c", "# nothing")


class EditChooser:
    """Chooses edits that fit what stands on the disk."""

    def __init__(self, root: Path, numbers: random.Random) -> None:
        self._root = root
        self._numbers = numbers
        self._branches = 1

    def choose_during_build(self) -> list[Edit]:
        """Return what is to happen while a build runs: edits, a cancel, the node's end."""
        kind = self._numbers.random()
        if kind < 0.15:
            return [["cancel"]]
        if kind < 0.2:
            return [["kill"]]
        edits = self.choose()
        in_place = any(
            one.get("isolation") == IN_PLACE for one in read_definition(self._root)["packages"]
        )
        spoils = any(
            edit[0] in _WITH_BUILDS or (in_place and _may_touch_outputs(edit)) for edit in edits
        )
        return [] if spoils else edits

    def choose(self) -> list[Edit]:
        """Return one edit, or a few that belong together."""
        numbers = self._numbers
        definition = read_definition(self._root)
        paths = [package["path"] for package in definition["packages"]]
        files, directories = self._present()
        if numbers.random() < 0.2 and (repair := self._repair(paths, files)):
            return repair
        here = numbers.choice(paths)
        chosen: Edit | None = None
        while chosen is None:
            (make,) = numbers.choices(self._kinds, self._weights)
            chosen = make(self, here, files, directories)
            here = numbers.choice(paths)
        match chosen:
            case ["define", changed]:
                return [chosen, *self._new_directories(changed)]
            case ["racy", path, *texts]:
                return self._racy_edits(path, texts)
            case ["mapped", path, *texts]:
                return _mapped_edits(path, texts)
            case ["held", path, *texts]:
                written = [[["write open", text], _BUILD] for text in texts]
                return [["open", path, False], *(one for two in written for one in two), ["close"]]
        return [chosen]

    def _repair(self, paths: list[str], files: list[str]) -> list[Edit]:
        """Return what lets most commands succeed again, so that failures do not prevail."""
        try:
            described(self._root)
        except BuildNetError:
            return [["define", read_definition(self._root)]]
        missing = [
            f"{path}/src/{name}"
            for path in paths
            for name in ("a.c", "deep/d.c")
            if not (self._root / path / "src" / name).exists()
        ]
        text = new_text(self._numbers)
        repair: list[Edit] = [["write", path, text, "replace"] for path in missing]
        return repair + [["delete", path] for path in files if FAILING in path]

    def _new_directories(self, definition: Definition) -> list[Edit]:
        return [
            ["write", f"{package['path']}/src/a.c", new_text(self._numbers), "replace"]
            for package in definition["packages"]
            if not (self._root / package["path"]).is_dir()
        ]

    def _present(self) -> tuple[list[str], list[str]]:
        """Return the paths of the files (links too) and directories below the packages."""
        files: list[str] = []
        directories: list[str] = []
        for top in ("packages", "shared"):
            for at, below, names in os.walk(self._root / top):
                at = os.path.relpath(at, self._root)
                links = [name for name in below if (self._root / at / name).is_symlink()]
                below[:] = sorted(set(below) - set(links))
                directories += [f"{at}/{name}" for name in below]
                files += [f"{at}/{name}" for name in sorted([*names, *links])]
        return [one for one in files if "/.buildnet-" not in one], directories

    def _write(self, here: str, files: list[str], directories: list[str]) -> Edit | None:
        """Other bytes; often as many, and with the old date: in place, or as a new file."""
        if not files or self._numbers.random() < 0.25:
            return ["write", source_path(self._numbers, here), new_text(self._numbers), "replace"]
        path = self._numbers.choice(files)
        place = self._root / path
        if place.is_symlink() or path.endswith(".gitignore"):
            return None
        how = self._numbers.choice(
            ("replace", "in place", "append", "in place, dated back", "replace, dated back")
        )
        text = new_text(self._numbers)
        if "dated" in how or self._numbers.random() < 0.5:
            size = place.stat().st_size
            text = ((text or "0") * (size + 1))[:size]
        return ["write", path, text, how]

    def _same_size(self, kind: str, files: list[str]) -> Edit | None:
        """Two other contents as long as what a file holds now."""
        path = self._numbers.choice(files) if files else ""
        place = self._root / path
        if not path or place.is_symlink() or place.name == MANIFEST or not place.stat().st_size:
            return None
        size = place.stat().st_size
        return [kind, path, *((new_text(self._numbers) * size)[:size] or "0" * size for _ in "12")]

    def _racy(self, here: str, files: list[str], directories: list[str]) -> Edit | None:
        return self._same_size("racy", files)

    def _racy_edits(self, path: str, texts: list[str]) -> list[Edit]:
        """A file is written, read by a build, and written again within what may be one time stamp,
        and a node that was not told looks at it."""
        first, second = (["write", path, text, "in place"] for text in texts)
        return [first, _BUILD, second, [self._numbers.choice(("kill", "restart"))], _BUILD]

    def _mapped(self, here: str, files: list[str], directories: list[str]) -> Edit | None:
        return self._same_size("mapped", files)

    def _held(self, here: str, files: list[str], directories: list[str]) -> Edit | None:
        return self._same_size("held", files)

    def _lock_file(self, here: str, files: list[str], directories: list[str]) -> Edit | None:
        if not (self._root / LOCK_FILE).is_file():
            return None
        how = self._numbers.choice(("replace", "in place, dated back"))
        text = f'{{"name": "r{self._numbers.randrange(10**5):05}", "packages": {{}}}}\n'
        return ["write", LOCK_FILE, text, how]

    def _delete(self, here: str, files: list[str], directories: list[str]) -> Edit | None:
        return ["delete", self._numbers.choice(files)] if files else None

    def _delete_directory(self, here: str, files: list[str], directories: list[str]) -> Edit | None:
        chosen = self._numbers.choice(directories) if directories else ""
        return ["delete", chosen] if chosen.count("/") > 1 else None

    def _mode(self, here: str, files: list[str], directories: list[str]) -> Edit | None:
        path = self._numbers.choice(files) if files else ""
        if not path or (self._root / path).is_symlink():
            return None
        return ["mode", path, self._numbers.choice((0o644, 0o755, 0o600, 0o700, 0o444))]

    def _touch(self, here: str, files: list[str], directories: list[str]) -> Edit | None:
        seconds = self._numbers.choice((_DATE_S, _DATE_S + 1, None))
        return ["touch", self._numbers.choice(files), seconds] if files else None

    def _rename(self, here: str, files: list[str], directories: list[str]) -> Edit | None:
        if not files:
            return None
        to = self._numbers.choice(files)
        if self._numbers.random() < 0.6:
            to = source_path(self._numbers, here)
        return ["move", self._numbers.choice(files), to]

    def _move_directory(self, here: str, files: list[str], directories: list[str]) -> Edit | None:
        """A directory over another one, or two that change places."""
        if len(directories) < 2:
            return None
        one, other = self._numbers.sample(directories, 2)
        if f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/"):
            return None
        swap = min(one.count("/"), other.count("/")) < 2 or self._numbers.random() < 0.5
        return ["swap" if swap else "move", one, other]

    def _link(self, here: str, files: list[str], directories: list[str]) -> Edit | None:
        """A link to a file, a directory, nothing, itself, or a file outside."""
        path = source_path(self._numbers, here)
        targets = [*self._numbers.sample(files, min(3, len(files))), "packages/nothing", path]
        targets += self._numbers.sample(directories, min(2, len(directories)))
        target = self._numbers.choice(targets)
        above = os.path.dirname(path)
        text = os.path.relpath(target, above)
        if self._numbers.random() < 0.15:
            text = f"{OUTSIDE}o1"
        return ["link", path, text]

    def _hard_link(self, here: str, files: list[str], directories: list[str]) -> Edit | None:
        path = source_path(self._numbers, here)
        # What is ignored is not watched: a change through a name there is not noticed at once, as
        # docs/explanation/noticing-changes.md says.
        if not files or "/tmp/" in path:
            return None
        return ["hard link", self._numbers.choice(files), path]

    def _outside(self, here: str, files: list[str], directories: list[str]) -> Edit | None:
        if self._numbers.random() < 0.2:
            return ["delete", "../outside/o1"]
        return ["write", "../outside/o1", new_text(self._numbers), "in place, dated back"]

    def _ignore(self, here: str, files: list[str], directories: list[str]) -> Edit | None:
        at = self._numbers.choice((".gitignore", f"{here}/.gitignore", f"{here}/src/.gitignore"))
        if self._numbers.random() < 0.2:
            return ["delete", at]
        rules = self._numbers.sample(_IGNORED, self._numbers.randint(1, 2))
        return ["write", at, "\n".join(rules) + "\n", "replace"]

    def _define(self, here: str, files: list[str], directories: list[str]) -> Edit | None:
        return ["define", changed_definition(self._numbers, read_definition(self._root))]

    def _variable(self, here: str, files: list[str], directories: list[str]) -> Edit | None:
        return ["variable", self._numbers.choice((None, "v0", "v1"))]

    def _commit(self, here: str, files: list[str], directories: list[str]) -> Edit | None:
        return ["commit"]

    def _branch(self, here: str, files: list[str], directories: list[str]) -> Edit | None:
        """Another branch by git: a new one, or one that was left."""
        if self._numbers.random() < 0.3:
            self._branches += 1
            return ["branch", f"b{self._branches - 1}"]
        return ["switch", f"b{self._numbers.randrange(self._branches)}"]

    def _cache(self, here: str, files: list[str], directories: list[str]) -> Edit | None:
        match self._numbers.randrange(6):
            case 0:
                return ["clear"]
            case 1 | 2:
                return ["collect", self._numbers.choice((0.2, 0.5, 0.9))]
            case _:
                how = self._numbers.choice(("delete", "flip", "cut"))
                return ["blob", how, self._numbers.randrange(1000)]

    def _output(self, here: str, files: list[str], directories: list[str]) -> Edit | None:
        """An output that somebody deleted, wrote to, replaced or added to."""
        made = [
            one
            for one in (*files, *directories)
            if one.startswith(here) and any(f"/{name}" in one for name in _MADE)
        ]
        if not made:
            return None
        path = self._numbers.choice(made)
        is_directory = path in directories
        match self._numbers.randrange(6):
            case 0 | 1:
                return ["delete", path]
            case 2 | 3 | 4 if is_directory and not path.endswith("/dist"):
                return ["write", f"{path}/extra.o", "extra", "replace"]
            case 2:
                if is_directory:
                    return ["write", f"{path}/extra.o", "extra", "replace"]
                return ["write", path, new_text(self._numbers), "in place, dated back"]
            case 3:
                return ["turn", path]  # a file becomes a directory, a directory a file
            case 4:
                return ["link", path, "nothing"]
            case _:
                return None if is_directory else ["mode", path, 0o600]

    def _node(self, here: str, files: list[str], directories: list[str]) -> Edit | None:
        return [self._numbers.choice(("kill", "restart"))]

    _Make = Callable[["EditChooser", str, list[str], list[str]], "Edit | None"]
    _TABLE: tuple[tuple[_Make, float], ...] = (
        (_write, 30),
        (_racy, 1.5),
        (_mapped, 1.5),
        (_held, 1.5),
        (_lock_file, 3),
        (_delete, 7),
        (_delete_directory, 2),
        (_mode, 5),
        (_touch, 5),
        (_rename, 6),
        (_move_directory, 4),
        (_link, 5),
        (_hard_link, 2),
        (_outside, 1.5),
        (_ignore, 4),
        (_define, 5),
        (_variable, 2),
        (_commit, 1.5),
        (_branch, 4),
        (_cache, 4),
        (_output, 8),
        (_node, 1.5),
    )
    _kinds = tuple(make for make, _ in _TABLE)
    _weights = tuple(weight for _, weight in _TABLE)


def _may_touch_outputs(edit: Edit) -> bool:
    """Whether an edit may change what a command that runs in place has just made: that is then part
    of its result."""
    if edit[0] in {"write", "delete", "mode", "touch", "move", "swap", "link", "hard link", "turn"}:
        paths = [one for one in edit[1:] if isinstance(one, str) and one.startswith("packages/")]
        return not all("/src/" in path for path in paths)
    return False


def _mapped_edits(path: str, texts: list[str]) -> list[Edit]:
    """A file is changed through memory, read by a build, changed again without any new time stamp,
    and closed."""
    first, second = (["write open", text] for text in texts)
    looked_at: list[Edit] = [["touch", path, None], ["wait", 30], ["unchecked build"]]
    return [["open", path, True], first, *looked_at, second, ["close"]]


_BUILD: Edit = ["build", [], "build", False, []]
_WITH_BUILDS = frozenset({"build", "unchecked build", "open", "kill", "restart"})
_MADE = ("dist", "out.txt", "gen", "opt/", "check.txt")


def source_path(numbers: random.Random, package: str) -> str:
    place = numbers.choice(("src", "src", "src", "src/deep", "notes", "tmp", "."))
    name = numbers.choice(NAMES)
    if numbers.random() < 0.02:
        name = f"x{FAILING}"
    return os.path.normpath(f"{package}/{place}/{name}")


def new_text(numbers: random.Random) -> str:
    return f"{numbers.randrange(10**6):06}\n" if numbers.random() < 0.95 else ""
