"""Running an action again: what was not repeated is not told as verified."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from buildnet.mesh.digest import Digest
from buildnet.node import verifier
from buildnet.node.execute.cancel import CancelToken
from buildnet.node.verifier import Verifier
from buildnet.pool.tree import EMPTY_TREE


def test_what_no_host_could_repeat_is_not_verified_and_that_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(verifier, "isolation_of", lambda action: "strict")
    monkeypatch.setattr(verifier, "needs_of", lambda prepared: None)
    notices: list[str] = []
    nobody: Any = None
    telling: Any = SimpleNamespace(notice=notices.append)
    action = SimpleNamespace(digest=Digest.of(b"action"))
    prepared: Any = SimpleNamespace(action=action, task=SimpleNamespace(id="core#build"))
    report: Any = SimpleNamespace(node="n", node_name="anna", outputs=EMPTY_TREE)
    alone = Verifier(2, nobody, nobody, None, telling, nobody, lambda prepared: False)
    assert asyncio.run(alone.verify(prepared, report, None, CancelToken())) is None
    assert len(notices) == 1
    assert "could not be verified" in notices[0]
