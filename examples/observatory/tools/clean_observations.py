"""Bring the files of two instruments into one clean table.

usage: clean_observations.py MODEL OUTPUT RAW_FILE...

The instruments differ in separators, column names, star names and in how they write the time. Rows
taken through clouds, rows without a value, rows that the schema forbids and repeated rows are left
out and counted.
"""

from __future__ import annotations

import csv
import importlib
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

Row = dict[str, str]

JULIAN_DATE_OF_1970 = 2_440_587.5
SECONDS_PER_DAY = 86_400


def load_module(path: Path) -> ModuleType:
    """Import the generated model from where its package put it."""
    sys.path.insert(0, str(path.parent))
    return importlib.import_module(path.stem)


def julian_date(utc: str) -> float:
    moment = datetime.strptime(utc, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    return moment.timestamp() / SECONDS_PER_DAY + JULIAN_DATE_OF_1970


def read_photometer(path: Path) -> Iterator[Row | None]:
    """Rows of the photometer; None for one taken through clouds."""
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter=";"):
            if row["sky"] == "cloud":
                yield None
            else:
                yield {
                    "star": row["object"],
                    "time": row["jd"],
                    "magnitude": row["mag"],
                    "error": row["err"],
                    "instrument": "photometer",
                }


def read_camera(path: Path) -> Iterator[Row | None]:
    """Rows of the camera, which writes `rr_lyrae` for `RR Lyrae` and calendar dates."""
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            words = row["target"].split("_")
            yield {
                "star": " ".join("RR" if word == "rr" else word.title() for word in words),
                "time": f"{julian_date(row['utc']):.5f}",
                "magnitude": row["magnitude"],
                "error": row["sigma"],
                "instrument": "camera",
            }


READERS = {"camera": read_camera, "photometer": read_photometer}


def main() -> None:
    model_path, output, *raw_files = (Path(argument) for argument in sys.argv[1:])
    model = load_module(model_path)

    counts: Counter[str] = Counter()
    kept = set()
    for path in raw_files:
        for row in READERS[path.stem](path):
            if row is None:
                counts["clouds"] += 1
                continue
            try:
                observation = model.Observation.from_row(row)
            except model.ObservationError:
                counts["not valid"] += 1
                continue
            counts["repeated"] += observation in kept
            kept.add(observation)

    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("w", newline="", encoding="utf-8") as file:
        names = [field.name for field in model.FIELDS]
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        for observation in sorted(kept, key=lambda one: (one.star, one.time, one.instrument)):
            writer.writerow(observation.to_row())
    left_out = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
    sys.stdout.write(f"{len(kept)} observations; left out: {left_out}\n")


if __name__ == "__main__":
    main()
