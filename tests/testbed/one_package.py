"""A workspace of one package, ``a``, whose command makes ``a/out.txt`` of ``a/in.txt``."""

from __future__ import annotations

import json
from pathlib import Path

from buildnet.cli.testing import write_files


def one_package(
    directory: Path, command: str, more: str = "", outputs: str = "[a/out.txt]"
) -> Path:
    """Write it into ``w`` below ``directory`` and return that; ``more``: a field of the package."""
    return write_files(
        directory / "w",
        {
            "buildnet.yaml": f"""\
workspace: one
packages:
  - name: a
    path: a
    build_cmd: {json.dumps(command)}
    sources: [a/in.txt]
    outputs: {outputs}
    {more}
""",
            "a/in.txt": "in\n",
        },
    )
