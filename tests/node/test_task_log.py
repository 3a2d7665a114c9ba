"""Which blob is a task's output, whatever another node says that it is."""

from __future__ import annotations

from typing import Any

import pytest

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import NotFoundError
from buildnet.node.api.task_log import log_of

HASH = "a" * 64


def task(log: str | None, *shards: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"name": "app", "task": "test", "log": log, "node": "n1", "shards": list(shards)}]


def test_it_is_found_with_who_ran_it() -> None:
    assert log_of(task(f"{HASH}/5"), "b", "app", "test") == (Digest(HASH, 5), "n1")
    shard = {"shard": "2/3", "log": f"{HASH}/6", "node": "n2"}
    assert log_of(task(None, shard), "b", "app", "test 2/3") == (Digest(HASH, 6), "n2")


@pytest.mark.parametrize("log", [None, "", "x", HASH, f"{HASH}/x", f"{HASH}/-1", f"../{HASH}/5"])
def test_what_names_no_blob_is_none(log: str | None) -> None:
    with pytest.raises(NotFoundError, match="no output"):
        log_of(task(log), "b", "app", "test")


def test_of_shards_each_has_its_own() -> None:
    shard = {"shard": "1/2", "log": f"{HASH}/6", "node": "n2"}
    with pytest.raises(NotFoundError, match="in 1 shards"):
        log_of(task(None, shard), "b", "app", "test")
    with pytest.raises(NotFoundError):
        log_of(task(None, shard), "b", "app", "test 2/2")
