"""Processes that are killed while they work with a store; the long form is
``tests/faults/store_kills.py``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

KILLS = Path(__file__).parents[1] / "faults" / "store_kills.py"


@pytest.mark.thorough
def test_a_store_is_whole_whenever_its_process_was_killed(tmp_path: Path) -> None:
    command = [sys.executable, str(KILLS), "--kills", "5", "--directory", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
