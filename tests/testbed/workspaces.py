"""Random workspaces: a definition as data, and commands whose outputs can be worked out in advance.

Each command lists all it finds in its stage (paths, executable bits, link targets, digests) and two
variables, and makes its outputs from that and from the files in its own ``src``. So whatever
leaks in, is missing or is old changes the output; :mod:`testbed.workspaces_model` says what it must
be. The definition is JSON, which is YAML too, so that the model can read it back from the disk.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

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

_SEEN = (
    "seen=$(cd {up} && {{ find . -type l -printf 'l %p -> %l\\n' -o -type f -perm -u+x"
    " -printf 'x %p\\n' | LC_ALL=C sort"
    " && find . -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum"
    ' && echo "$SALT ${{INHERITED-}}"; }}) || exit 4\n'
    'case "$seen" in *.bad*) exit 3;; esac\n'
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


def command(path: str, shape: str, serial: int) -> str:
    """Return the command line of a task whose package lies in ``path``; ``serial`` is a comment."""
    up = "/".join([".."] * len(path.split("/")))
    return f"# {shape} {serial}\n" + _SEEN.format(up=up) + _MAKE[shape]


def shape_of(command_line: str) -> str:
    """Return the shape that :func:`command` was asked for."""
    return command_line.split()[1]


def random_definition(numbers: random.Random) -> Definition:
    """Return a workspace of three to nine packages that depend on earlier ones."""
    packages: list[dict[str, Any]] = []
    for number in range(numbers.randint(3, 9)):
        name = f"p{number}"
        below = [one for one in packages if "/" not in one["path"].removeprefix("packages/")]
        parent = numbers.choice(below)["path"] if below and numbers.random() < 0.1 else "packages"
        path = f"{parent}/{name}"
        package: dict[str, Any] = {"name": name, "path": path}
        count = min(len(packages), numbers.choice((0, 1, 1, 2, 2, 3)))
        package["dependencies"] = [one["name"] for one in numbers.sample(packages, count)]
        package |= random_settings(numbers, path)
        packages.append(package)
    return {"workspace": "random", "packages": packages}


def random_settings(numbers: random.Random, path: str) -> dict[str, Any]:
    """Return the keys of a package besides its name, path and dependencies."""
    keys: dict[str, Any] = {"env": {"SALT": f"s{numbers.randrange(3)}"}}
    if numbers.random() < 0.9:
        shape = numbers.choice(SHAPES)
        keys["build_cmd"] = command(path, shape, numbers.randrange(3))
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
    if sources is not None:
        keys["sources"] = sources
    if numbers.random() < 0.3:
        extra = [["shared/**"], [f"!{path}/notes/**"], ["shared/s1.txt", f"!{path}/src/skip.c"]]
        keys["extra_sources"] = numbers.choice(extra)
    if numbers.random() < 0.3:
        shown = [["sources"], [f"{path}/src/*"], ["sources", "shared/**"], [f"{path}/src/deep/**"]]
        keys["exports"] = numbers.choice(shown)
    if numbers.random() < 0.3:
        keys["transitive"] = True
    if numbers.random() < 0.3:
        keys["env_inherit"] = ["INHERITED"]
    if numbers.random() < 0.2:
        keys["isolation"] = "staged"
    if numbers.random() < 0.4:
        shape = numbers.choice(("file", "none"))
        check: dict[str, Any] = {"cmd": command(path, shape, 0).replace("out.txt", "check.txt")}
        check["depends_on"] = ["build"] if numbers.random() < 0.5 else []
        if shape == "file":
            check["outputs"] = [f"{path}/check.txt"]
        if numbers.random() < 0.3:
            check["extra_sources"] = ["shared/**"]
        keys["tasks"] = {"check": check}
    return keys


def changed_definition(numbers: random.Random, before: Definition) -> Definition:
    """Return the definition with one package changed, added or removed."""
    definition: Definition = json.loads(json.dumps(before))
    packages = definition["packages"]
    at = numbers.randrange(len(packages))
    package = packages[at]
    match numbers.randrange(6):
        case 0:
            package["env"] = {"SALT": f"s{numbers.randrange(3)}"}
        case 1:
            earlier = [one["name"] for one in packages[:at]]
            count = min(len(earlier), numbers.randrange(3))
            package["dependencies"] = numbers.sample(earlier, count)
        case 2 if at == len(packages) - 1 and len(packages) > 2:
            packages.pop()
        case 3:
            name = f"p{max(int(one['name'][1:]) for one in packages) + 1}"
            count = min(len(packages), numbers.randrange(3))
            needs = [one["name"] for one in numbers.sample(packages, count)]
            new = {"name": name, "path": f"packages/{name}", "dependencies": needs}
            packages.append(new | random_settings(numbers, f"packages/{name}"))
        case _:
            kept = {key: package[key] for key in ("name", "path", "dependencies")}
            packages[at] = kept | random_settings(numbers, package["path"])
    return definition


def write_definition(root: Path, definition: Definition) -> None:
    """Write ``buildnet.yaml``."""
    (root / "buildnet.yaml").write_text(json.dumps(definition, indent=1, ensure_ascii=False))


def read_definition(root: Path) -> Definition:
    """Read what :func:`write_definition` wrote."""
    definition: Definition = json.loads((root / "buildnet.yaml").read_text())
    return definition
