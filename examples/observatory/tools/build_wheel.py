"""Pack a pure Python library as a wheel (PEP 427).

usage: build_wheel.py PYPROJECT SOURCES OUTPUT_DIRECTORY [PACKAGE=FILE ...]

PACKAGE=FILE puts a generated module into a package: lightcurve=../schema/dist/observation.py
"""

from __future__ import annotations

import base64
import hashlib
import sys
import tomllib
from pathlib import Path
from typing import Any

from archive import python_files, write_zip

WHEEL = """\
Wheel-Version: 1.0
Generator: build_wheel.py
Root-Is-Purelib: true
Tag: py3-none-any
"""


def metadata(project: dict[str, Any]) -> str:
    return (
        "Metadata-Version: 2.1\n"
        f"Name: {project['name']}\n"
        f"Version: {project['version']}\n"
        f"Summary: {project['description']}\n"
        f"Requires-Python: {project['requires-python']}\n"
    )


def record(members: dict[str, bytes], record_name: str) -> str:
    """The wheel's list of files with their hashes; it cannot hold its own."""
    lines = []
    for name, content in members.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(content)}\n")
    return "".join(lines) + f"{record_name},,\n"


def main() -> None:
    pyproject, sources, output = (Path(argument) for argument in sys.argv[1:4])
    project = tomllib.loads(pyproject.read_text("utf-8"))["project"]

    modules = python_files(sources)
    for argument in sys.argv[4:]:
        package, file = argument.split("=")
        modules[f"{package}/{Path(file).name}"] = Path(file).read_bytes()
    for name, content in modules.items():
        compile(content, name, "exec")  # a module that does not compile is never shipped

    release = f"{project['name']}-{project['version']}"
    members = dict(sorted(modules.items()))
    members[f"{release}.dist-info/METADATA"] = metadata(project).encode()
    members[f"{release}.dist-info/WHEEL"] = WHEEL.encode()
    record_name = f"{release}.dist-info/RECORD"
    members[record_name] = record(members, record_name).encode()
    write_zip(output / f"{release}-py3-none-any.whl", members)


if __name__ == "__main__":
    main()
