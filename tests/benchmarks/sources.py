"""How long reading sources takes: cold (everything hashed) and again with nothing changed.

    uv run python tests/benchmarks/sources.py [--json FILE]

Each row is the best of some runs in one process, on files that the system has in memory.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from buildnet.node.source_file import FileTable
from buildnet.node.source_ignore import IgnoreRules
from buildnet.node.sources import SourceReader
from buildnet.node.store.store import Store

Result = dict[str, float | int | str]


def make(root: Path, packages: int, files: int) -> tuple[str, ...]:
    """Write ``packages`` packages of ``files`` files and an output each; return the outputs."""
    root.mkdir()
    (root / ".gitignore").write_text("node_modules/\ndist/\n*.log\n/coverage\n.cache/\n!keep.log\n")
    for number in range(packages):
        source = root / "packages" / f"p{number}" / "src"
        source.mkdir(parents=True)
        for file in range(files):
            (source / f"f{file}.js").write_text(
                f"export const value = {number * files + file};\n" * 80
            )
        dist = root / "packages" / f"p{number}" / "dist"
        dist.mkdir()
        (dist / "index.js").write_text("built\n")
    return tuple(f"packages/p{number}/dist" for number in range(packages))


def read_default(reader: SourceReader, packages: int, outputs: tuple[str, ...]) -> int:
    """Read each package's default sources; return the number of touched files."""
    return sum(
        len(reader.tree((), f"packages/p{number}", outputs).touched) for number in range(packages)
    )


def read_patterns(reader: SourceReader, packages: int, outputs: tuple[str, ...]) -> int:
    """The same with patterns."""
    return sum(
        len(reader.tree((f"packages/p{number}/src/**/*.js",), None, outputs).touched)
        for number in range(packages)
    )


def measure(name: str, packages: int, files: int, limits_ms: tuple[float, float]) -> list[Result]:
    """Return the rows of one size: cold, warm by default sources, warm by patterns."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory) / "workspace"
        outputs = make(root, packages, files)
        store = Store.open(Path(directory) / "store", 1 << 30)
        try:
            rules = IgnoreRules()
            table = store.file_table(name)
            time.sleep(0.1)  # files written within a clock tick are read again, that is not meant
            started = time.perf_counter()
            touched = read_default(SourceReader(root, table, rules), packages, outputs)
            cold_ms = (time.perf_counter() - started) * 1000
            assert touched == packages * files, touched
            rows = [row(f"{name} cold", packages * files, [cold_ms], limits_ms[0])]
            for label, read in (("default", read_default), ("patterns", read_patterns)):
                times = warm(root, table, rules, packages, outputs, read)
                rows.append(
                    row(f"{name} unchanged, {label}", packages * files, times, limits_ms[1])
                )
            return rows
        finally:
            store.close()


def warm(
    root: Path,
    table: FileTable,
    rules: IgnoreRules,
    packages: int,
    outputs: tuple[str, ...],
    read: Callable[[SourceReader, int, tuple[str, ...]], int],
) -> list[float]:
    """Return the milliseconds of ten readings that find everything unchanged."""
    times: list[float] = []
    for _ in range(10):
        started = time.perf_counter()
        touched = read(SourceReader(root, table, rules), packages, outputs)
        times.append((time.perf_counter() - started) * 1000)
        assert touched == 0, touched
    return times


def row(name: str, files: int, times_ms: list[float], limit_ms: float) -> Result:
    return {
        "case": name,
        "files": files,
        "best_ms": round(min(times_ms), 1),
        "median_ms": round(statistics.median(times_ms), 1),
        "limit_ms": limit_ms,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there too")
    parser.add_argument("--short", action="store_true", help="the small case alone, for CI")
    arguments = parser.parse_args()
    rows = measure("100 x 20", 100, 20, (150, 15))
    if not arguments.short:
        rows += measure("500 x 20", 500, 20, (500, 75))
    table = Table("case", "files", "best ms", "median ms", "limit ms")
    for one in rows:
        table.add_row(*(str(value) for value in one.values()))
    Console().print(table)
    text = json.dumps(rows, indent=2)
    if arguments.json:
        arguments.json.write_text(text + "\n")
    Console().print_json(text)


if __name__ == "__main__":
    main()
