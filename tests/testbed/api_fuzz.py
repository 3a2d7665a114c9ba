"""Requests by the thousand, made of the API's own description; no answer may be a server's error.

What is left out: streams that do not end by themselves, and the benchmark, which keeps the host
busy.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

CHECKS = ("not_a_server_error", "content_type_conformance", "response_schema_conformance")
_LEFT_OUT = ("/api/ledger/tail", "/events", "/api/node/benchmark")
_ANSWER_S = 30


@dataclass(frozen=True, slots=True)
class Fuzzing:
    """How to go about it. ``examples``: of each operation; ``phases``: "coverage" tries the bounds
    of every field, "fuzzing" anything; ``most_s``: it ends then, None: once all is tried."""

    examples: int
    seed: int
    phases: str = "coverage,fuzzing"
    most_s: int | None = None


def fuzz(url: str, key: str, how: Fuzzing, directory: Path) -> str | None:
    """Ask the node at ``url`` with ``key``; return what was found, None: nothing. What that leaves
    behind lies in ``directory``."""
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{url}/api/openapi.json"]
    command += ["--header", f"Authorization: Bearer {key}", "--phases", how.phases]
    command += ["--max-examples", str(how.examples), "--seed", str(how.seed)]
    command += ["--checks", ",".join(CHECKS), "--request-timeout", str(_ANSWER_S)]
    command += ["--continue-on-failure", "--no-shrink", "--warnings", "off"]
    command += ["--suppress-health-check", "all"]
    for path in _LEFT_OUT:
        command += ["--exclude-path", path]
    if how.most_s is not None:
        command += ["--max-time", str(how.most_s)]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else f"{done.stdout}\n{done.stderr}"
