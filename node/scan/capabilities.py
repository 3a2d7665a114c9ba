"""Reading what programs say about their abilities; every parser takes any text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

LIMIT = 512


def listed(names: list[str] | set[str]) -> tuple[str, ...]:
    """Return names sorted and without doubles, at most ``LIMIT`` of them."""
    return tuple(sorted({name for name in names if name}))[:LIMIT]


def matching(pattern: str, *, prefix: str = "") -> Callable[[str], tuple[str, ...]]:
    """Return a parser of the first group of every match, with ``prefix`` before each."""
    compiled = re.compile(pattern, re.MULTILINE)

    def parse(answer: str) -> tuple[str, ...]:
        return listed([prefix + name for name in compiled.findall(answer)])

    return parse


def recognised(**patterns: str) -> Callable[[str], tuple[str, ...]]:
    """Return a parser that yields each name whose pattern is in the answer."""
    compiled = {name: re.compile(pattern, re.MULTILINE) for name, pattern in patterns.items()}

    def parse(answer: str) -> tuple[str, ...]:
        names = [name for name, pattern in compiled.items() if pattern.search(answer)]
        return listed([name.replace("_", "-") for name in names])

    return parse


def among(*names: str) -> Callable[[str], tuple[str, ...]]:
    """Return a parser that yields those of ``names`` that the answer lists as words."""

    def parse(answer: str) -> tuple[str, ...]:
        return listed(set(names).intersection(answer.split()))

    return parse


_IMAGE_FORMAT = re.compile(r"^ *([A-Z0-9-]+)\*? +(?:[A-Z0-9-]+ +)?([r-])([w-])[+-] ", re.M)


def image_formats(answer: str) -> tuple[str, ...]:
    """Read ImageMagick's ``-list format``: ``webp`` is read and written, ``pdf:read`` only read."""
    formats = []
    for name, read, write in _IMAGE_FORMAT.findall(answer):
        if read == "r" and write == "w":
            formats.append(name.lower())
        elif read == "r":
            formats.append(f"{name.lower()}:read")
        elif write == "w":
            formats.append(f"{name.lower()}:write")
    return listed(formats)


# " V....D libx264              libx264 H.264 …"; the legend has " = " where the name stands.
encoders = matching(r"^ [VAS][.A-Z]{5} ([A-Za-z0-9_.-]+) ")

target = matching(r"\A\s*([a-z0-9_]+(?:-[A-Za-z0-9_.]+){1,3})\s*\Z")


def docker_daemon(answer: str) -> tuple[str, ...]:
    """Read ``docker version --format '{{json .}}'``: a server answers only if the daemon runs."""
    start = answer.find("{")
    try:
        server = json.JSONDecoder().raw_decode(answer[start:])[0].get("Server") if start >= 0 else 0
    except (ValueError, AttributeError, RecursionError):
        return ()
    if not isinstance(server, dict):
        return ()
    system = f"{server.get('Os') or ''}/{server.get('Arch') or ''}"
    return ("daemon", system) if len(system) > 1 else ("daemon",)


def cmake_generators(answer: str) -> tuple[str, ...]:
    """Read ``cmake -E capabilities``: the names of the generators, such as ``Ninja``."""
    try:
        generators = json.loads(answer)["generators"]
        return listed([str(generator["name"]) for generator in generators])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ()


def curl_abilities(answer: str) -> tuple[str, ...]:
    """Read the ``Protocols:`` and ``Features:`` lines of ``curl --version``."""
    lines = re.findall(r"^(?:Protocols|Features): (.*)$", answer, re.MULTILINE)
    return listed(" ".join(lines).split())


def dotnet_kits(answer: str) -> tuple[str, ...]:
    """Read ``dotnet --info``: ``sdk 8.0.100``, ``Microsoft.NETCore.App 8.0.0``."""
    found = re.findall(r"^[ \t]+(?:(\S*\.App) )?(\d+\.\d+\.\S+) \[", answer, re.MULTILINE)
    return listed([f"{name or 'sdk'} {version}" for name, version in found])


def python_abilities(answer: str) -> tuple[str, ...]:
    """Read the line that :data:`PYTHON_QUESTION` prints."""
    match = re.search(r"^buildnet:((?: [a-z0-9_.-]+)+)$", answer, re.MULTILINE)
    return listed(match.group(1).split()) if match else ()


PYTHON_QUESTION = (
    "import sys, os, sysconfig\n"
    "from importlib.util import find_spec\n"
    "found = [n for n in ('pip', 'venv', 'ensurepip', 'ssl', 'sqlite3', 'setuptools', 'wheel')"
    " if find_spec(n)]\n"
    "headers = os.path.join(sysconfig.get_paths()['include'], 'Python.h')\n"
    "found += ['headers'] if os.path.exists(headers) else []\n"
    "print('buildnet:', sys.implementation.name, *found)\n"
)
