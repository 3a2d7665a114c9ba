"""Pack Python modules into one file that Python runs, the same byte for byte every time.

usage: build_zipapp.py SOURCES OUTPUT [PACKAGE=FILE ...]

PACKAGE=FILE puts a generated module into a package: keyer=../alphabet/dist/morse_table.py
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path


def main() -> None:
    sources, output = Path(sys.argv[1]), Path(sys.argv[2])
    modules = {
        path.relative_to(sources).as_posix(): path.read_bytes() for path in sources.rglob("*.py")
    }
    for argument in sys.argv[3:]:
        package, module = argument.split("=")
        modules[f"{package}/{Path(module).name}"] = Path(module).read_bytes()

    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("wb") as file:
        file.write(b"#!/usr/bin/env python3\n")
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in sorted(modules.items()):
                entry = zipfile.ZipInfo(name)  # dated 1980-01-01, which is zip's zero
                entry.create_system = 3  # Unix, also where this runs on something else
                entry.external_attr = 0o100644 << 16
                archive.writestr(entry, content)
    output.chmod(0o755)


if __name__ == "__main__":
    main()
