"""Blobs as answers: long ones go out part by part."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from buildnet.mesh.digest import Digest
from buildnet.node.api.blob_text import PART_BYTES, digest_of, file_of, text_of
from buildnet.node.store import MissingBlobError, Store


def sent(store: Store, digest: Digest, name: str | None = None) -> list[dict[str, Any]]:
    """Return what is sent as the answer: text, or the file ``name``."""
    messages: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Any) -> None:
        messages.append(message)

    async def answer() -> None:
        answer = text_of(store, digest) if name is None else file_of(store, digest, name)
        await (await answer)({"type": "http"}, receive, send)

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


@pytest.mark.parametrize("size", [5, PART_BYTES + 1])
def test_a_file_is_to_be_kept_and_its_name_can_be_anything(store: Store, size: int) -> None:
    begun, *_ = sent(store, store.put(bytes(size)), 'a"b;\r\n\u00e9\udcff.html')
    headers = dict(begun["headers"])
    assert headers[b"content-type"] == b"application/octet-stream"
    said = headers[b"content-disposition"]
    assert said == b"attachment; filename*=utf-8''a%22b%3B%0D%0A%C3%A9%3F.html"


def test_a_blob_is_named_by_digits_alone() -> None:
    assert digest_of(f"{'a' * 64}/5") == Digest("a" * 64, 5)
    for text in ("", "a/5", f"{'A' * 64}/5", f"{'a' * 64}/-1", f"{'../' * 20}abcd/5", "None/None"):
        assert digest_of(text) is None
