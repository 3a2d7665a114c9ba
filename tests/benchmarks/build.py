"""Cold, warm and one-edit builds of generated packages, end to end through the command line.

    uv run python tests/benchmarks/build.py [--packages 100] [--files 20] [--short] [--json FILE]

Packages form layers of ten; each depends on two of the layer before. Prints a table and, with
``--json``, writes the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

BUILDNET = [sys.executable, "-m", "buildnet.cli.main"]
LAYER = 10


def generate(root: Path, packages: int, files: int) -> None:
    """Write the workspace: every package concatenates its sources."""
    entries = ["workspace: generated", "packages:"]
    for number in range(packages):
        source = root / f"packages/p{number}/src"
        source.mkdir(parents=True)
        for index in range(files):
            (source / f"f{index}.js").write_text(f"// {number} {index}\n" + "x" * 400 + "\n")
        layer = number // LAYER
        below = [(layer - 1) * LAYER + (number + step) % LAYER for step in (0, 1)] if layer else []
        entries += [
            f"  - name: p{number}",
            f"    path: packages/p{number}",
            "    build_cmd: mkdir -p dist && cat src/*.js > dist/index.js",
            f"    dependencies: [{', '.join(f'p{each}' for each in below)}]",
            f'    sources: ["packages/p{number}/src/*.js"]',
            f"    output_dir: packages/p{number}/dist",
        ]
    (root / "buildnet.yaml").write_text("\n".join(entries) + "\n")


def timed_build(root: Path, environment: dict[str, str]) -> tuple[float, dict[str, int]]:
    """Run ``buildnet build``; return milliseconds and how many packages took each tier."""
    started = time.perf_counter()
    process = subprocess.run(
        [*BUILDNET, "build", "--json"], cwd=root, env=environment, capture_output=True, check=True
    )
    took_ms = (time.perf_counter() - started) * 1000
    tiers: dict[str, int] = {}
    for package in json.loads(process.stdout)["packages"]:
        tiers[package["tier"]] = tiers.get(package["tier"], 0) + 1
    return took_ms, tiers


def measure(packages: int, files: int, repeats: int) -> dict[str, object]:
    """Return the figures of one run."""
    with tempfile.TemporaryDirectory(prefix="buildnet-bench-") as directory:
        root, home = Path(directory, "workspace"), Path(directory, "home")
        generate(root, packages, files)
        environment = {**os.environ, "BUILDNET_HOME": str(home)}
        start = [*BUILDNET, "node", "start", "--detach", "--listen", "127.0.0.1:0", "--json"]
        started = subprocess.run(start, env=environment, capture_output=True, check=True)
        pid = json.loads(started.stdout)["pid"]
        try:
            subprocess.run(  # waits for the first scan, which would disturb the figures
                [*BUILDNET, "pool", "status"], env=environment, capture_output=True, check=True
            )
            idle_mb = psutil.Process(pid).memory_info().rss / 1e6
            cold_ms, cold = timed_build(root, environment)
            warm = [timed_build(root, environment) for _ in range(repeats)]
            edited = root / "packages/p0/src/f0.js"
            edited.write_text(edited.read_text() + "// edited\n")
            edit_ms, edit = timed_build(root, environment)
            for output in root.glob("packages/*/dist/index.js"):
                output.unlink()
            restore_ms, restore = timed_build(root, environment)
            after_mb = psutil.Process(pid).memory_info().rss / 1e6
        finally:
            subprocess.run([*BUILDNET, "node", "stop"], env=environment, capture_output=True)
    return {
        "packages": packages,
        "files_per_package": files,
        "cold_ms": round(cold_ms),
        "cold_tiers": cold,
        "warm_ms_p50": round(statistics.median(took for took, _ in warm)),
        "warm_tiers": warm[-1][1],
        "edit_ms": round(edit_ms),
        "edit_tiers": edit,
        "restore_ms": round(restore_ms),
        "restore_tiers": restore,
        "idle_memory_mb": round(idle_mb, 1),
        "memory_after_mb": round(after_mb, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packages", type=int, default=100)
    parser.add_argument("--files", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--short", action="store_true", help="ten packages, for CI")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    packages, repeats = (10, 3) if arguments.short else (arguments.packages, arguments.repeats)
    figures = measure(packages, arguments.files, repeats)
    for name, value in figures.items():
        print(f"{name:<20} {value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
