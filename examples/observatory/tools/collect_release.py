"""Put what is released into one directory, with checksums that `sha256sum --check` understands.

usage: collect_release.py OUTPUT_DIRECTORY ARTIFACT...

An artifact is a file, or a directory that is taken as it is. A file's mode is kept.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path


def main() -> None:
    output, *artifacts = (Path(argument) for argument in sys.argv[1:])
    shutil.rmtree(output, ignore_errors=True)  # nothing of an earlier release stays
    output.mkdir(parents=True)
    for artifact in artifacts:
        if artifact.is_dir():
            shutil.copytree(artifact, output / artifact.name, copy_function=shutil.copy)
        else:
            shutil.copy(artifact, output / artifact.name)

    sums = "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(output).as_posix()}\n"
        for path in sorted(output.rglob("*"))
        if path.is_file()
    )
    (output / "SHA256SUMS").write_text(sums, "utf-8")


if __name__ == "__main__":
    main()
