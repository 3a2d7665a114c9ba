"""A disk that fails when a test says so: calls of a node on some of its files return an error.

A small C library is loaded before the node's (``LD_PRELOAD``), since no mount fails on demand.
"""

from __future__ import annotations

import errno
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from testbed.nodes import Node, Process

_SOURCE = Path(__file__).with_suffix(".c")


def why_not() -> str | None:
    """Return why there is no faulty disk here; None: there is."""
    if sys.platform != "linux":
        return "faulty disks need Linux"
    if shutil.which("gcc") is None:
        return "the program gcc is missing"
    return None


class FaultyDisk:
    """Keeps its library and what has to fail in ``directory``; see :func:`why_not`."""

    def __init__(self, directory: Path) -> None:
        self._library = directory / "faulty_disk.so"
        self._faults = directory / "faults"
        self._faults.write_text("")
        build = ["gcc", "-shared", "-fPIC", "-O1", "-o", str(self._library), str(_SOURCE), "-ldl"]
        subprocess.run(build, check=True, capture_output=True, text=True)

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs that is to have this disk."""
        return {"LD_PRELOAD": str(self._library), "BUILDNET_TEST_FAULTS": str(self._faults)}

    def fail(self, error: int, *calls: str, files: str = "/ledger-") -> None:
        """From now on let ``calls`` (``write``, ``read``, ``sync``, ``truncate``) on files whose
        path holds ``files`` fail with ``error``, such as ``errno.EIO``."""
        assert error in errno.errorcode
        # In one step: a process may be reading it.
        fresh = self._faults.with_suffix(".new")
        fresh.write_text(f"{error} {files} {','.join(calls)}\n")
        fresh.replace(self._faults)

    def heal(self) -> None:
        """Let everything succeed again."""
        self._faults.write_text("")


class FaultyNode(Node):
    """A node on a faulty disk."""

    def __init__(self, disk: FaultyDisk, home: Path, name: str, **options: Any) -> None:
        super().__init__(home, name, **options)
        self._disk = disk

    def launch(self, writing: int, options: str, environment: dict[str, str]) -> Process:
        """Return a new process of it."""
        return super().launch(writing, options, environment | self._disk.environment)
