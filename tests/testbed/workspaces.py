"""Random workspaces: a definition as data, and commands whose outputs can be worked out in advance.

Each command lists all it finds in its stage (paths, executable bits, link targets, digests) and two
variables, and makes its outputs from that and from the files in its own ``src``. So whatever
leaks in, is missing or is old changes the output; :mod:`testbed.workspaces_model` says what it must
be. Commands that run in the workspace itself list only their own ``src``. The definition is JSON,
which is YAML too, or it is left to be detected from manifests of npm.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import yaml

from buildnet.pool.definition_text import write_workspace
from buildnet.pool.workspace import WORKSPACE_FILE, load_workspace

Definition = dict[str, Any]
"""What ``buildnet.yaml`` holds."""

FAILING = ".bad"
"""A command that finds a name with this in it fails with exit code 3."""

OPTIONAL = "opt"
"""The output ``P/opt/**`` is made only if a file's name in ``P/src`` begins with this."""

NAMES = (
    "a.c",
    "b.c",
    "c.h",
    "sp ace.c",
    "ümlaut.txt",
    "-dash.c",
    "it's.h",
    "opt1",
    "skip.c",
    "x.log",
    ".hidden",
)
SHAPES = ("directory", "directory", "file", "pattern", "optional", "both", "none")
ISOLATIONS = (None, None, None, "strict", "staged", "workspace")
IN_PLACE = "workspace"
MANIFEST, LOCK_FILE = "package.json", "package-lock.json"
INSTALL = {
    "manager": "npm",
    "command": "mkdir -p node_modules/dep && "
    f"cat {LOCK_FILE} {MANIFEST} | sha256sum > node_modules/dep/list",
}
"""Stands for a package manager; what it installs is told by the two files."""

_NOT_INSTALLED = "-name node_modules -prune -o"
_SEEN = (
    "seen=$(cd {up} && {{ find . " + _NOT_INSTALLED + " -type l -printf 'l %p -> %l\\n'"
    " -o -type f -perm -u+x -printf 'x %p\\n' | LC_ALL=C sort"
    " && find . " + _NOT_INSTALLED + " -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum"
    ' && echo "$SALT ${{INHERITED-}} $(cat node_modules/dep/list 2>/dev/null)"; }}) || exit 4\n'
    'case "$seen" in *.bad*) exit 3;; esac\n'
)
_SEEN_IN_PLACE = (
    "seen=$(cd {up} && {{ find ./{path}/src -type f -perm -u+x -printf 'x %p\\n' | LC_ALL=C sort"
    " && find ./{path}/src -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum"
    ' && echo "$SALT ${{INHERITED-}} "; }}) || exit 4\n'
    'case "$seen" in *.bad*) exit 3;; esac\n'
)
_HOOK = (
    "# {file}\n"
    "rm -rf {file}; mkdir -p {above} && printf '%s\\n' \"{name} ${{INHERITED-}}\" > {file}"
)
_EACH_SOURCE = (
    'for f in src/*; do if [ -f "$f" ] && [ ! -L "$f" ]; then'
    ' IFS= read -r line < "$f" || :; printf "%s\\n" "$line" > "{to}"; fi; done\n'
)
_MAKE = {
    "directory": (
        'mkdir -p dist/o dist/empty && printf "%s\\n" "$seen" > dist/list\n'
        "ln -s list dist/latest; echo run > dist/run; chmod 755 dist/run\n"
        + _EACH_SOURCE.format(to="dist/o/${f##*/}")
    ),
    "file": 'printf "%s\\n" "$seen" > out.txt\n',
    "pattern": 'mkdir -p gen; printf "%s\\n" "$seen" > gen/all.o\n'
    + _EACH_SOURCE.format(to="gen/${f##*/}.o"),
    "optional": (
        'for f in src/opt*; do if [ -f "$f" ]; then mkdir -p opt;'
        ' printf "%s\\n" "$seen" > opt/list; fi; done\n'
    ),
    "none": ":\n",
}
_MAKE["both"] = _MAKE["directory"] + _MAKE["file"]
_OUTPUTS = {
    "directory": ["{path}/dist"],
    "file": ["{path}/out.txt"],
    "pattern": ["{path}/gen/*.o"],
    "optional": ["{path}/opt/**"],
    "both": ["{path}/dist/**", "{path}/out.txt"],
    "none": [],
}


def command(path: str, shape: str, serial: int, *, in_place: bool = False) -> str:
    """Return the command line of a task whose package lies in ``path``; ``serial`` is a comment."""
    up = "/".join([".."] * len(path.split("/")))
    seen = _SEEN_IN_PLACE if in_place else _SEEN
    return f"# {shape} {serial}\n" + seen.format(up=up, path=path) + _MAKE[shape]


def shape_of(command_line: str) -> str:
    """Return the shape that :func:`command` was asked for."""
    return command_line.split()[1]


def random_hooks(numbers: random.Random, packages: list[dict[str, Any]]) -> dict[str, str]:
    """Return hooks, each of which writes a source that tells the variable that it inherits."""
    hooks: dict[str, str] = {}
    for name in numbers.sample(("pre_build", "post_build"), numbers.randint(1, 2)):
        above = f"{numbers.choice(packages)['path']}/src"
        hooks[name] = _HOOK.format(file=f"{above}/{name}.h", above=above, name=name)
    return hooks


def hooked(definition: Definition, name: str, inherited: str | None) -> tuple[str, bytes] | None:
    """Return the file that a hook writes, and what it writes; None: there is no such hook."""
    line = definition.get("hooks", {}).get(name)
    return None if line is None else (line.split()[1], f"{name} {inherited or ''}\n".encode())


def random_definition(numbers: random.Random) -> Definition:
    """Return a workspace of three to nine packages that depend on earlier ones."""
    packages: list[dict[str, Any]] = []
    detected = numbers.random() < 0.15
    for number in range(numbers.randint(3, 9)):
        name = f"p{number}"
        if detected:
            packages.append(_detectable(numbers, name, packages))
            continue
        below = [one for one in packages if "/" not in one["path"].removeprefix("packages/")]
        parent = numbers.choice(below)["path"] if below and numbers.random() < 0.1 else "packages"
        path = f"{parent}/{name}"
        package: dict[str, Any] = {"name": name, "path": path}
        count = min(len(packages), numbers.choice((0, 1, 1, 2, 2, 3)))
        package["dependencies"] = [one["name"] for one in numbers.sample(packages, count)]
        package |= random_settings(numbers, path)
        packages.append(package)
    definition: Definition = {"workspace": "random", "packages": packages}
    if detected:
        return definition | {"detected": True}
    if numbers.random() < 0.3:
        definition["install"] = INSTALL
    if numbers.random() < 0.2:
        definition["hooks"] = random_hooks(numbers, packages)
    return definition


def _detectable(numbers: random.Random, name: str, earlier: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a package that a manifest can describe."""
    path = f"packages/{name}"
    count = min(len(earlier), numbers.choice((0, 1, 1, 2)))
    needs = [one["name"] for one in numbers.sample(earlier, count)]
    shape = numbers.choice(("directory", "pattern", "optional"))
    line = command(path, shape, numbers.randrange(3))
    return {"name": name, "path": path, "dependencies": needs, "build_cmd": line}


def random_settings(numbers: random.Random, path: str) -> dict[str, Any]:
    """Return the keys of a package besides its name, path and dependencies."""
    keys: dict[str, Any] = {"env": {"SALT": f"s{numbers.randrange(3)}"}}
    isolation = numbers.choice(ISOLATIONS)
    in_place = isolation == IN_PLACE
    if isolation is not None:
        keys["isolation"] = isolation
    if numbers.random() < 0.9:
        shape = numbers.choice(
            [one for one in SHAPES if not in_place or one not in ("optional", "pattern")]
        )
        keys["build_cmd"] = command(path, shape, numbers.randrange(3), in_place=in_place)
        keys["outputs"] = [one.format(path=path) for one in _OUTPUTS[shape]]
    sources = numbers.choice(
        (
            None,
            None,
            [f"{path}/src/**"],
            [f"{path}/src/*.{{c,h}}", f"{path}/**/d.c", f"!{path}/src/skip*"],
            [f"{path}/**", "shared/*.txt", f"!{path}/notes/**"],
            [f"{path}/src"],
        )
    )
    if in_place:  # such a command sees also what is no source: it looks at no more than this
        sources = [f"{path}/src/**"]
    if sources is not None:
        keys["sources"] = sources
    if numbers.random() < 0.3 and not in_place:
        extra = [["shared/**"], [f"!{path}/notes/**"], ["shared/s1.txt", f"!{path}/src/skip.c"]]
        keys["extra_sources"] = numbers.choice(extra)
    if numbers.random() < 0.3:
        shown = [["sources"], [f"{path}/src/*"], ["sources", "shared/**"], [f"{path}/src/deep/**"]]
        keys["exports"] = numbers.choice(shown)
    if numbers.random() < 0.3:
        keys["transitive"] = True
    if numbers.random() < 0.3:
        keys["env_inherit"] = ["INHERITED"]
    if numbers.random() < 0.1:
        keys["dependencies_tree"] = False
    if numbers.random() < 0.4:
        shape = numbers.choice(("file", "none"))
        line = command(path, shape, 0, in_place=in_place)
        check: dict[str, Any] = {"cmd": line.replace("out.txt", "check.txt")}
        check["depends_on"] = ["build"] if numbers.random() < 0.5 else []
        if shape == "file":
            check["outputs"] = [f"{path}/check.txt"]
        if numbers.random() < 0.3:
            check["extra_sources"] = ["shared/**"]
        keys["tasks"] = {"check": check}
    return keys


def changed_definition(numbers: random.Random, before: Definition) -> Definition:
    """Return the definition with one package changed, added or removed, or with other hooks."""
    definition: Definition = json.loads(json.dumps(before))
    packages = definition["packages"]
    detected = "detected" in definition
    at = numbers.randrange(len(packages))
    package = packages[at]
    match numbers.randrange(7):
        case 0 if not detected:
            package["env"] = {"SALT": f"s{numbers.randrange(3)}"}
        case 1:
            earlier = [one["name"] for one in packages[:at]]
            count = min(len(earlier), numbers.randrange(3))
            package["dependencies"] = numbers.sample(earlier, count)
        case 2 if at == len(packages) - 1 and len(packages) > 2:
            packages.pop()
        case 3:
            name = f"p{max(int(one['name'][1:]) for one in packages) + 1}"
            if detected:
                packages.append(_detectable(numbers, name, packages))
                return definition
            count = min(len(packages), numbers.randrange(3))
            needs = [one["name"] for one in numbers.sample(packages, count)]
            new = {"name": name, "path": f"packages/{name}", "dependencies": needs}
            packages.append(new | random_settings(numbers, f"packages/{name}"))
        case 4 if not detected and ("hooks" in definition or numbers.random() < 0.2):
            if definition.pop("hooks", None) is None or numbers.random() < 0.5:
                definition["hooks"] = random_hooks(numbers, packages)
        case 5 if not detected and ("install" in definition or numbers.random() < 0.2):
            if definition.pop("install", None) is None:
                definition["install"] = INSTALL
        case _ if detected:
            packages[at] |= {"build_cmd": _detectable(numbers, package["name"], [])["build_cmd"]}
        case _:
            kept = {key: package[key] for key in ("name", "path", "dependencies")}
            packages[at] = kept | random_settings(numbers, package["path"])
    return definition


def write_definition(root: Path, definition: Definition) -> None:
    """Write ``buildnet.yaml``, or manifests from which as much can be detected."""
    if "detected" in definition:
        _write_manifests(root, definition)
        return
    text = json.dumps(definition, indent=1, ensure_ascii=False)
    (root / WORKSPACE_FILE).write_text(text)
    for name in (MANIFEST, LOCK_FILE):
        if "install" in definition and not (root / name).exists():
            (root / name).write_text('{"name": "random", "packages": {}}\n')


def _write_manifests(root: Path, definition: Definition) -> None:
    outputs = {"outputs": ["dist/**", "gen/*.o", "opt/**"]}
    texts: dict[str, Any] = {
        MANIFEST: {"name": "random", "workspaces": ["packages/*"]},
        "turbo.json": {"tasks": {"build": outputs}},
        "../definition.json": definition,
    }
    for package in definition["packages"]:
        texts[f"{package['path']}/{MANIFEST}"] = {
            "name": package["name"],
            "version": "1.0.0",
            "scripts": {"build": package["build_cmd"]},
            "dependencies": dict.fromkeys(package["dependencies"], "1.0.0"),
        }
    for path, content in texts.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(json.dumps(content, indent=1, ensure_ascii=False))


def read_definition(root: Path) -> Definition:
    """Read what :func:`write_definition` wrote; of manifests what they were written from."""
    there = (root / WORKSPACE_FILE).exists()
    text = (root / (WORKSPACE_FILE if there else "../definition.json")).read_text()
    definition: Definition = json.loads(text)
    return definition


def described(root: Path) -> Definition:
    """Return what the files on the disk describe now.

    Raises:
        BuildNetError: a build has to be refused for it.
    """
    workspace = load_workspace(root)
    if workspace.file is not None:
        return read_definition(root)
    definition: Definition = yaml.safe_load(write_workspace(workspace))
    return definition
