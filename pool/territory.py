"""Paths in a definition: made plain, kept inside the root, and each output owned by one task."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from buildnet.mesh.errors import UsageError
from buildnet.pool.glob import Patterns, expand, is_pattern, literal_prefix, unescape
from buildnet.pool.workspace import Package, Task

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


class PathError(UsageError):
    """A path that a definition may not hold."""

    code = "PATH"


class Territory:
    """The directory tree that a definition may speak of."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._real_root = os.path.realpath(root)
        self._inside: dict[str, bool] = {"": True}

    def path(self, text: str) -> str:
        """Return a plain path without ``.`` and needless slashes; ``.`` becomes ``""``.

        Raises:
            PathError: empty, absolute, leading out of the root, or not in POSIX form.
        """
        if "\\" in text:
            raise PathError(f"{text!r} is not a path here", hint="separate directories with '/'")
        return self._clean(text, text)

    def pattern(self, text: str, *, is_read: bool = False) -> str:
        """Return a pattern (or plain path) in the same way; a trailing slash becomes ``/**``.

        What is excluded may be a link that leads out: to exclude it is the remedy for such a link.
        So may what only ``is_read``, if it is itself the link to a file: its content is taken.
        """
        excluding = "!" if text.startswith("!") else ""
        body = text.removeprefix("!")
        if re.search(r"\\[\w.\s]", body):
            raise PathError(f"{text!r} is not a pattern", hint="separate directories with '/'")
        plain = self._clean(body, text, inside=not excluding, is_read=is_read)
        for one in expand(plain):
            if ".." in one.split("/"):
                raise PathError(f"{text!r} leads out of the workspace")
        if not plain or body.endswith("/"):
            plain = f"{plain}/**" if plain else "**"
        return excluding + plain

    def _clean(self, body: str, text: str, *, inside: bool = True, is_read: bool = False) -> str:
        if not body or _CONTROL.search(body):
            raise PathError(f"{text!r} is not a path")
        if body.startswith(("/", "~")) or _DRIVE.match(body):
            raise PathError(
                f"{text!r} is not relative to the workspace", hint=self._relative_hint(body)
            )
        components = [one for one in body.split("/") if one not in {"", "."}]
        if ".." in components:
            raise PathError(
                f"{text!r} leads out of the workspace or back into it",
                hint="paths are relative to the root, without '..'",
            )
        plain = "/".join(components)
        for one in expand(plain) if inside else ():
            path = literal_prefix(one)
            if is_read and os.path.isfile(f"{self._real_root}/{path}"):
                path = path.rpartition("/")[0]
            self._stay_inside(path, text)
        return plain

    def _relative_hint(self, body: str) -> str:
        for root in (str(self.root), self._real_root):
            if body.startswith(f"{root}/"):
                return f"write {body[len(root) + 1 :]!r}"
        return "paths are relative to the root of the workspace"

    def _stay_inside(self, path: str, text: str) -> None:
        if path not in self._inside:
            real = os.path.realpath(f"{self._real_root}/{path}")
            self._inside[path] = real == self._real_root or real.startswith(f"{self._real_root}/")
        if not self._inside[path]:
            raise PathError(
                f"{text!r} leads out of the workspace through a symbolic link",
                hint="copy what it leads to into the workspace",
            )


class Overlap(NamedTuple):
    """An output that cannot be: whose it is, which one, and why not."""

    task: Task
    output: str
    message: str
    hint: str


class _Claim(NamedTuple):
    task: Task
    output: str


def overlaps(packages: Mapping[str, Package]) -> list[Overlap]:
    """Return outputs that meet another task's outputs, or that contain a package.

    ``dir/**`` stands for the directory ``dir``. Two wild patterns of other forms are only compared
    by text; against plain paths they are matched.
    """
    found = list(_containing_packages(packages))
    plain: dict[str, _Claim] = {}
    wild: dict[str, list[_Claim]] = {}
    tasks = [task for package in packages.values() for task in package.tasks.values()]
    for task in tasks:
        for output in task.outputs:
            claim = _Claim(task, output)
            for one in expand(output):
                region = _region(one)
                if region is None:
                    wild.setdefault(one, []).append(claim)
                elif region in plain and plain[region].task.id != task.id:
                    found.append(_clash(claim, plain[region]))
                else:
                    plain.setdefault(region, claim)
    for region, claim in plain.items():
        for above in _ancestors(region):
            if above in plain and plain[above].task.id != claim.task.id:
                found.append(_clash(claim, plain[above]))
    found += _wild_clashes(wild, plain)
    return found


def sharing_files(packages: Mapping[str, Package]) -> dict[str, frozenset[str]]:
    """Return for packages whose outputs only their files tell apart from those of others which
    others that are: where one has a pattern such as ``*.js``, whoever makes something below it."""
    below: dict[str, set[str]] = {}
    wild: list[tuple[str, str]] = []
    for package in packages.values():
        for task in package.tasks.values():
            for one in (plain for output in task.outputs for plain in expand(output)):
                region = _region(one)
                if region is None:
                    region = literal_prefix(one)
                    wild.append((package.name, region))
                for directory in (region, *_ancestors(region), ""):
                    below.setdefault(directory, set()).add(package.name)
    found: dict[str, set[str]] = {}
    for name, region in wild:
        if len(below[region]) > 1:
            found.setdefault(name, set()).update(below[region])
    return {name: frozenset(others - {name}) for name, others in found.items()}


def _region(output: str) -> str | None:
    """Return the file or directory that an output stands for, or None for other patterns."""
    body = "" if output == "**" else output.removesuffix("/**")
    return None if is_pattern(body) else unescape(body)


def _ancestors(path: str) -> list[str]:
    """Return the directories that contain ``path``, the nearest first, without the root."""
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(len(parts) - 1, 0, -1)]


def _clash(claim: _Claim, other: _Claim) -> Overlap:
    mine, theirs = claim.output, other.output
    how = "is also an output" if mine == theirs else f"overlaps with {theirs!r}, an output"
    return Overlap(
        claim.task,
        mine,
        f"the output {mine!r} {how} of {other.task.id}",
        "give each task a directory of its own",
    )


def _containing_packages(packages: Mapping[str, Package]) -> Iterable[Overlap]:
    holders: dict[str, Package] = {}
    for package in packages.values():
        for directory in (package.path, *_ancestors(package.path)):
            holders.setdefault(directory, package)
    holders.setdefault("", next(iter(packages.values())))
    for package in packages.values():
        for task in package.tasks.values():
            for output in task.outputs:
                for region in map(_region, expand(output)):
                    if region is not None and region in holders:
                        holder = holders[region]
                        whose = "its own package" if holder is package else f"package {holder.name}"
                        yield Overlap(
                            task,
                            output,
                            f"the output {output!r} would hold the sources of {whose}",
                            "name a directory below it, such as "
                            + repr(f"{package.path}/dist".lstrip("/")),
                        )


def _wild_clashes(
    wild: Mapping[str, list[_Claim]], plain: Mapping[str, _Claim]
) -> Iterable[Overlap]:
    if not wild:
        return
    names = list(wild)
    patterns = Patterns(names, reach_below=True)
    for name, claims in wild.items():
        for later in claims[1:]:
            if later.task.id != claims[0].task.id:
                yield _clash(later, claims[0])
        for region in (literal_prefix(name), *_ancestors(literal_prefix(name))):
            if region in plain and plain[region].task.id != claims[0].task.id:
                yield _clash(claims[0], plain[region])
    for region, claim in plain.items():
        for number in sorted(patterns.matching(region) | patterns.leading_into(region)):
            for other in wild[names[number]]:
                if other.task.id != claim.task.id:
                    yield _clash(claim, other)


def is_below(path: str, directories: Iterable[str]) -> bool:
    """Return whether ``path`` is one of ``directories``, as people write them, or below one."""
    plain = (each.removeprefix("./").strip("/") for each in directories)
    return any(not each or f"{path}/".startswith(f"{each}/") for each in plain)
