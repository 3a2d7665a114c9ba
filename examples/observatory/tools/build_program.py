"""Pack a program and the wheels it needs into one file that Python runs.

usage: build_program.py SOURCES OUTPUT [WHEEL ...]

The file holds every module as source and as byte code. Python takes the byte code if it is its own
version's, and the source otherwise.
"""

from __future__ import annotations

import py_compile
import sys
import tempfile
import zipfile
from pathlib import Path

from archive import python_files, write_zip

INTERPRETER = b"#!/usr/bin/env python3\n"


def wheel_modules(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name.endswith(".py")}


def byte_code(name: str, source: bytes, scratch: Path) -> bytes:
    """Compile one module. Neither a date nor a place of this machine gets into the result."""
    source_path, code_path = scratch / "module.py", scratch / "module.pyc"
    source_path.write_bytes(source)
    py_compile.compile(
        str(source_path),
        cfile=str(code_path),
        dfile=name,
        doraise=True,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    return code_path.read_bytes()


def main() -> None:
    sources, output, *wheels = (Path(argument) for argument in sys.argv[1:])
    modules = python_files(sources)
    for wheel in wheels:
        modules |= wheel_modules(wheel)

    members: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, source in sorted(modules.items()):
            members[name] = source
            members[f"{name}c"] = byte_code(name, source, Path(scratch))
    write_zip(output, members, preamble=INTERPRETER)
    output.chmod(0o755)


if __name__ == "__main__":
    main()
