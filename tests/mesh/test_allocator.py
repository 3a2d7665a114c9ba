from __future__ import annotations

import subprocess
import sys

import pytest

from buildnet.mesh.bulk.allocator import keep_large_buffers

FAULTS = """
import resource
from buildnet.mesh.bulk.allocator import keep_large_buffers
keep_large_buffers()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(200):
    buffers = [bytearray(300_000) for _ in range(4)]
    for buffer in buffers:
        buffer[::4096] = b"x" * len(buffer[::4096])
    del buffers, buffer
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_freed_buffers_are_used_again() -> None:
    if not keep_large_buffers():
        pytest.skip("this C library has no mallopt")
    done = subprocess.run(
        [sys.executable, "-c", FAULTS], check=True, stdout=subprocess.PIPE, text=True
    )
    assert int(done.stdout) < 5_000  # 50,000 where each buffer gets new pages
