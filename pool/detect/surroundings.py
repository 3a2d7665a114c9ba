"""Files outside of a package that its build reads: configuration, shared scripts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from buildnet.pool.detect.directory import Files, MemberPaths, is_below, resolved
from buildnet.pool.glob import escape, is_pattern

_ROOT_FILE = re.compile(
    r"package\.json|tsconfig[\w.-]*\.json|jsconfig\.json|[\w.-]+\.config\.(?:js|cjs|mjs|ts|mts|cts|json)"
    r"|\.(?:babel|swc|postcss|browserslist|rollup|vite|webpack|npm)rc(?:\.\w+)?|babel\.config\.\w+"
    r"|lerna\.json|nx\.json|turbo\.json|\.yarnrc(?:\.yml)?|pnpm-workspace\.yaml|\.pnp\.c?js"
)
_CONFIG = re.compile(
    r"[\w.-]+\.config\.(?:js|cjs|mjs|ts|mts|cts)|\.\w+rc(?:\.(?:js|cjs|mjs))?|(?:gulpfile|Gruntfile)\.\w+"
)
_QUOTED_ABOVE = re.compile(r"""['"`]((?:\.\./)+[^'"`\n$]*)['"`]""")
_ABOVE = re.compile(r"""(?:^|[\s='"(])((?:\.\./)+[\w./@*-]*)""")
_MODULE_ENDINGS = ("", ".js", ".mjs", ".cjs", ".ts", ".mts", ".cts", ".json")


def root_configuration(files: Files) -> tuple[str, ...]:
    """Return the configuration files at the root that builds of any package may read."""
    return tuple(escape(name) for name in sorted(files.names("")) if _ROOT_FILE.fullmatch(name))


def files_elsewhere(
    files: Files, path: str, command: str, reads: Iterable[str], members: MemberPaths
) -> tuple[str, ...]:
    """Return patterns of what a package reads outside of its directory and is no package.

    ``reads`` is what its tsconfig files name. A script above the package stands for its directory,
    since scripts load their neighbours.
    """
    found: dict[str, None] = {}
    for at in reads:
        if is_pattern(at):
            found[at] = None
        elif not is_below(at, path) and files.is_there(at):
            found[escape(at)] = None
    for named in _named(files, path, command):
        leads_to = resolved(path, named.rstrip("/")) if path else None
        if leads_to:
            found.update(dict.fromkeys(_patterns(files, leads_to, path, members)))
    return tuple(found)


def _named(files: Files, path: str, command: str) -> Iterator[str]:
    """Yield paths with ``../`` that the command or the package's configuration files mention."""
    yield from _ABOVE.findall(command)
    for name in sorted(files.names(path)):
        if _CONFIG.fullmatch(name):
            yield from _QUOTED_ABOVE.findall(files.text(f"{path}/{name}"))


def _patterns(files: Files, at: str, path: str, members: MemberPaths) -> Iterator[str]:
    if "*" in at:
        at = at.partition("*")[0].rpartition("/")[0]
    at = next((at + ending for ending in _MODULE_ENDINGS if files.is_there(at + ending)), "")
    skipped = {"node_modules", ".git"}
    if not at or not skipped.isdisjoint(at.split("/")) or is_below(path, at):
        return
    if members.holding(at) is not None:
        if not files.is_directory(at):
            yield escape(at)
        return
    directory = at if files.is_directory(at) else at.rpartition("/")[0]
    if not directory or is_below(path, directory) or members.below(directory):
        if not files.is_directory(at):
            yield escape(at)
        return
    yield f"{escape(directory)}/**"
