"""Blobs as answers: long ones go out part by part."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from buildnet.mesh.digest import Digest
from buildnet.node.api.blob_text import PART_BYTES, text_of
from buildnet.node.store import MissingBlobError, Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store", 1 << 30) as opened:
        yield opened


def sent(store: Store, digest: Digest) -> list[dict[str, Any]]:
    """Return what is sent as the answer."""
    messages: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Any) -> None:
        messages.append(message)

    async def answer() -> None:
        await (await text_of(store, digest))({"type": "http"}, receive, send)

    asyncio.run(answer())
    return messages


@pytest.mark.parametrize("size", [0, 5, PART_BYTES, 3 * PART_BYTES + 1])
def test_a_blob_is_sent_whole_in_parts_of_bounded_size(store: Store, size: int) -> None:
    data = bytes(number % 251 for number in range(size))
    begun, *parts = sent(store, store.put(data))
    assert b"".join(part["body"] for part in parts) == data
    assert max(len(part["body"]) for part in parts) <= PART_BYTES
    headers = dict(begun["headers"])
    assert headers[b"content-length"] == str(size).encode()
    assert headers[b"content-type"] == b"text/plain; charset=utf-8"


@pytest.mark.parametrize("size", [5, PART_BYTES + 1])
def test_what_is_not_there_is_told_before_an_answer_begins(store: Store, size: int) -> None:
    with pytest.raises(MissingBlobError):
        sent(store, Digest.of(bytes(size)))
