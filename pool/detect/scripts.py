"""Scripts of package.json as shell command lines that do not start a package manager.

``npm run X`` and its kin cost 0.1 to 0.5 s of CPU before anything runs. They are replaced by the
script they mean, with its pre and post scripts, recursively. What cannot be understood is left
alone; it then needs the package manager as a tool.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from wcmatch import fnmatch

from buildnet.pool.detect.shell_line import SimpleCommand, pieces, simple_command

_MANAGERS = ("npm", "npx", "yarn", "pnpm", "pnpx")
_MANAGER_WORD = re.compile(r"(?:^|[\s;&|(])(npm|npx|yarn|pnpm|pnpx)(?=$|[\s;&|)])")
_QUIET = frozenset({"-s", "--silent", "--quiet", "-q"})
_RUN = frozenset({"run", "run-script", "rum", "urn"})
_SHORT = {"test": "test", "t": "test", "tst": "test", "start": "start", "stop": "stop"}
_BUILT_IN = frozenset(  # words that mean something to yarn or pnpm themselves
    {
        "add",
        "audit",
        "bin",
        "cache",
        "ci",
        "config",
        "create",
        "dedupe",
        "deploy",
        "dlx",
        "exec",
        "fetch",
        "global",
        "help",
        "import",
        "info",
        "init",
        "install",
        "install-test",
        "i",
        "link",
        "list",
        "licenses",
        "login",
        "logout",
        "node",
        "npm",
        "outdated",
        "owner",
        "pack",
        "patch",
        "prune",
        "publish",
        "rebuild",
        "recursive",
        "remove",
        "run",
        "set",
        "store",
        "tag",
        "team",
        "unlink",
        "up",
        "update",
        "upgrade",
        "upgrade-interactive",
        "version",
        "versions",
        "why",
        "workspace",
        "workspaces",
        "constraints",
        "plugin",
        "unplug",
        "search",
        "explain",
        "env",
        "root",
        "setup",
        "m",
        "multi",
        "server",
        "self-update",
        "rm",
    }
)
_NO_TEST = re.compile(r"no test specified")
_WILD = re.compile(r"[*?]")


class ScriptLine(NamedTuple):
    """A command line, the scripts it is made of, and the package managers that it still starts."""

    command: str
    scripts: tuple[str, ...]
    managers: tuple[str, ...]


def script_line(scripts: Mapping[str, str], name: str) -> ScriptLine | None:
    """Return the command line of the script ``name`` with its pre and post scripts.

    None: there is no such script, or it is npm's placeholder of a test.
    """
    text = scripts.get(name, "").strip()
    if not text or (name == "test" and _NO_TEST.search(text)):
        return None
    expansion = _Expansion(scripts)
    command = expansion.script(name, "", ())
    managers = dict.fromkeys(match[1] for match in _MANAGER_WORD.finditer(command))
    return ScriptLine(command, tuple(expansion.used), tuple(managers))


class _Expansion:
    """Replaces calls of scripts by the scripts."""

    def __init__(self, scripts: Mapping[str, str]) -> None:
        self._scripts = scripts
        self.used: dict[str, None] = {}

    def script(self, name: str, arguments: str, outer: tuple[str, ...]) -> str:
        """Return the line of a script; ``outer`` are those that are being expanded."""
        parts: list[str] = []
        for one in (f"pre{name}", name, f"post{name}"):
            text = self._scripts.get(one, "").strip()
            if not text:
                continue
            self.used[one] = None
            if one == name and arguments:
                text = f"{text} {arguments}"
            parts.append(self._line(text, (*outer, name)))
        return in_sequence(parts)

    def _line(self, text: str, outer: tuple[str, ...]) -> str:
        cut = pieces(text)
        if cut is None:
            return text
        result: list[str] = []
        for piece in cut:
            replaced = None if piece.operator else self._replaced(piece.text, outer)
            if replaced is None:
                result.append(piece.text if piece.operator else piece.text.strip())
            elif len(cut) > 1:
                result.append(_grouped(replaced))
            else:
                result.append(replaced)
        return _joined(result)

    def _replaced(self, text: str, outer: tuple[str, ...]) -> str | None:
        command = simple_command(text)
        if command is None or not command.words:
            return None
        line = self._called(command, outer)
        if line is not None and command.assignments:
            exported = " ".join(map(_quoted_assignment, command.assignments))
            return f"(export {exported}; {line})"
        return line

    def _called(self, command: SimpleCommand, outer: tuple[str, ...]) -> str | None:
        program, *rest = command.words
        if program in {"npm-run-all", "npm-run-all2", "run-s", "run-p"}:
            return self._several(program, rest, outer)
        if program in {"npx", "pnpx"}:
            return None
        if program not in _MANAGERS:
            return None
        while rest and rest[0] in _QUIET:
            rest = rest[1:]
        if not rest:
            return None
        verb, *rest = rest
        if verb in _RUN:
            return self._run(command, rest, outer)
        if program == "npm":
            return self._run(command, [_SHORT[verb], *rest], outer) if verb in _SHORT else None
        if verb in self._scripts and verb not in _BUILT_IN:
            return self._run(command, [verb, *rest], outer)
        if verb == "exec":
            rest = rest[1:] if rest[:1] == ["--"] else rest
            return command.line(rest) if rest and not rest[0].startswith("-") else None
        if verb.startswith("-") or verb in _BUILT_IN:
            return None
        return command.line([verb, *rest])  # a program of node_modules/.bin

    def _run(
        self, command: SimpleCommand, words: Sequence[str], outer: tuple[str, ...]
    ) -> str | None:
        program, rest = command.words[0], list(words)
        before = rest[: rest.index("--")] if "--" in rest else rest
        if_present = "--if-present" in before
        if if_present:
            rest.remove("--if-present")
        while rest and rest[0].startswith("-"):
            flag = rest.pop(0)
            if flag not in _QUIET:
                return None
        if not rest:
            return None
        name, *arguments = rest
        if name in outer:
            return None
        if name not in self._scripts:
            return "true" if if_present else None
        if "--" in arguments:
            at = arguments.index("--")
            flags, arguments = arguments[:at], arguments[at + 1 :]
        elif program == "npm":
            flags = [one for one in arguments if one.startswith("-")]
            arguments = [one for one in arguments if not one.startswith("-")]
        else:
            flags = []
        if not _QUIET.issuperset(flags) and program == "npm":
            return None
        line = command.line(arguments)
        return None if line is None else self.script(name, line, outer)

    def _several(self, program: str, words: Sequence[str], outer: tuple[str, ...]) -> str | None:
        """Expand npm-run-all: groups of scripts in sequence or in parallel."""
        parallel = program == "run-p"
        groups: list[tuple[bool, list[str]]] = [(parallel, [])]
        for word in words:
            if word in {"-p", "--parallel", "-s", "--serial", "--sequential"} and (
                program not in {"run-s", "run-p"}
            ):
                groups.append((word in {"-p", "--parallel"}, []))
            elif word in {"-l", "--print-label", "-n", "--print-name", "--silent", "-s"}:
                continue
            elif word.startswith("-") or "{" in word or " " in word:
                return None
            else:
                names = self._matching(word)
                if not names or any(name in outer for name in names):
                    return None
                groups[-1][1].extend(names)
        lines = [
            _in_parallel(parts) if at_once else in_sequence(parts)
            for at_once, names in groups
            if (parts := [self.script(name, "", outer) for name in names])
        ]
        return in_sequence(lines) if lines else None

    def _matching(self, pattern: str) -> list[str]:
        """Return the scripts that a name or pattern means; ``*`` stays between colons."""
        if not _WILD.search(pattern):
            return [pattern] if pattern in self._scripts else []
        if "**" in pattern:
            return [one for one in self._scripts if fnmatch.fnmatch(one, pattern)]
        wanted = pattern.split(":")
        return [
            name
            for name in self._scripts
            if len(parts := name.split(":")) == len(wanted)
            and all(map(fnmatch.fnmatch, parts, wanted))
        ]


def _joined(parts: Sequence[str]) -> str:
    text = " ".join(parts)
    return text.replace("( ", "(").replace(" )", ")").replace(" ;", ";")


def _grouped(line: str) -> str:
    """Return ``line`` so that it stands as one command among others, in a shell of its own."""
    if line.startswith("(") and line.endswith(")") and line.count("(") == 1:
        return line
    if re.fullmatch(r"[\w./@:=,+-]+(?: [\w./@:=,+*'\"-]+)*", line) and not line.startswith("cd "):
        return line
    return f"(\n{line}\n)" if "#" in line else f"({line})"


def in_sequence(lines: Sequence[str]) -> str:
    """Return one command that runs several, one after the other as long as they succeed."""
    return lines[0] if len(lines) == 1 else " && ".join(map(_grouped, lines))


def _in_parallel(lines: Sequence[str]) -> str:
    """Return a command that runs all at once, waits for all and fails if one failed."""
    if len(lines) == 1:
        return lines[0]
    starts = " ".join(f"{_grouped(line)} & p{n}=$!;" for n, line in enumerate(lines))
    waits = " ".join(f"wait $p{n} || failed=1;" for n in range(len(lines)))
    return f"({starts} failed=0; {waits} exit $failed)"


def _quoted_assignment(text: str) -> str:
    name, _, value = text.partition("=")
    return f"{name}={shlex.quote(value)}"
