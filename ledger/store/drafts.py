"""Changes of shared facts that wait for a quorum."""

from __future__ import annotations

from dataclasses import dataclass

from buildnet.ledger.store.errors import damaged
from buildnet.ledger.store.reader import Reader
from buildnet.ledger.store.schema import checksum
from buildnet.ledger.store.writer import Writer


@dataclass(frozen=True, slots=True)
class KeptDraft:
    """``body``: as it was given; ``kept_ms``: when, milliseconds since 1970 UTC."""

    request: bytes
    kept_ms: int
    body: bytes


def put(writer: Writer, request: bytes, kept_ms: int, body: bytes) -> None:
    """Keep a draft, in the transaction that is open; one of the same request is replaced."""
    values = (request, kept_ms, writer.vault.close(body))
    writer.connection.execute(
        "INSERT OR REPLACE INTO drafts (request, kept_ms, body, checksum) VALUES (?, ?, ?, ?)",
        (*values, checksum("drafts", *values)),
    )


def drop(writer: Writer, request: bytes) -> bool:
    """Forget a draft; tell whether there was one."""
    return writer.connection.execute("DELETE FROM drafts WHERE request=?", (request,)).rowcount > 0


def read_all(reader: Reader) -> list[KeptDraft]:
    """Return all drafts, the oldest first.

    Raises:
        LedgerDamagedError: one is not what was written.
    """
    found: list[KeptDraft] = []
    for *values, mark in reader.connection.execute(
        "SELECT request, kept_ms, body, checksum FROM drafts ORDER BY kept_ms, request"
    ):
        if checksum("drafts", *values) != mark:
            raise damaged(reader.path, "a draft is not what was written")
        request, kept_ms, body = values
        found.append(KeptDraft(request, kept_ms, reader.vault.open(body)))
    return found
