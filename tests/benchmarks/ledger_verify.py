"""How fast one core checks entries of a chain: their links only, and in full.

    uv run python tests/benchmarks/ledger_verify.py [--entries N] [--short] [--json FILE]

Entries of 400 bytes with real signatures, in memory; each row is the best of three runs by the
processor's time. Goals: 150,000 a second by links, 15,000 in full.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from buildnet.ledger.chain import BEGINNING, START, Tip, check_entries, check_links
from buildnet.ledger.draft import EntryDraft, next_body, opening_body
from buildnet.ledger.entry import Actor, Chain, Entry
from buildnet.ledger.opening import Opening, Why
from buildnet.ledger.postings import changed
from buildnet.mesh.identity import NodeKey, is_signed_by

CLUSTER = bytes(32)


def make(count: int) -> tuple[Chain, list[bytes]]:
    """Return a chain of so many entries, as they are stored."""
    key = NodeKey.generate()
    chain = Chain(key.public_key, bytes(8))
    entries = [
        Entry.sign(opening_body(CLUSTER, chain, Opening(Why.FIRST), clock=1), key.sign),
    ]
    for number in range(1, count):
        draft = EntryDraft(
            "queue.resumed",
            Actor("ann", "Ann", "user"),
            entity=f"queue:{number}",
            data={"number": number, "text": "x" * 99},
            postings=changed(f"queue:{number}", None, "open"),
        )
        body = next_body(CLUSTER, chain, Tip.of(entries[-1]), draft, clock=1)
        entries.append(Entry.sign(body, key.sign))
    return chain, [one.signed for one in entries]


def rate(work: Callable[[], object], count: int) -> int:
    """Return how many a second of processor time, at best."""
    times = []
    for _ in range(3):
        begun = time.process_time()
        work()
        times.append(time.process_time() - begun)
    return round(count / min(times))


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=20_000)
    parser.add_argument("--short", action="store_true", help="2,000 entries, for CI")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.short:
        options.entries = 2000
    chain, run = make(options.entries)
    size = sum(map(len, run)) / len(run)
    assert not check_links(chain, START, run).faults
    found = {
        "bytes an entry": round(size),
        "links only, entries/s": rate(lambda: check_links(chain, START, run), len(run)),
        "decoding, entries/s": rate(lambda: [Entry.decode(one) for one in run], len(run)),
        "in full, entries/s": rate(
            lambda: check_entries(CLUSTER, chain, BEGINNING, run, is_signed_by), len(run)
        ),
    }
    assert not check_entries(CLUSTER, chain, BEGINNING, run, is_signed_by).faults
    table = Table("what", "measured")
    for name, value in found.items():
        table.add_row(name, f"{value:,}")
    Console().print(table)
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
