"""Running an action again: what was not repeated is not told as verified."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from buildnet.mesh.digest import Digest
from buildnet.node import verifier
from buildnet.node.execute.cancel import CancelToken
from buildnet.node.verifier import NotVerifiedError, Verifier, require_agreement
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
    found = asyncio.run(alone.verify(prepared, report, None, CancelToken()))
    assert found is not None
    assert found.agrees is None
    assert found.problem is not None
    assert len(notices) == 1
    assert "could not be verified" in notices[0]
    # One that may run here, by workers that are not there.
    alone.may_stay = lambda prepared: True
    broken = asyncio.run(alone.verify(prepared, report, None, CancelToken()))
    assert broken is not None
    assert broken.problem == "see the node's log"
    require_agreement([])
    for each in (found, broken):
        with pytest.raises(NotVerifiedError, match="core#build"):
            require_agreement([cast(Any, SimpleNamespace(task="core#build", verification=each))])


def test_what_runs_in_place_is_told_as_not_verified_and_fails_no_build(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(verifier, "isolation_of", lambda action: "workspace")
    nobody: Any = None
    action = SimpleNamespace(digest=Digest.of(b"action"))
    prepared: Any = SimpleNamespace(action=action, task=SimpleNamespace(id="core#build"))
    report: Any = SimpleNamespace(node="n", node_name="anna", outputs=EMPTY_TREE)
    telling: Any = SimpleNamespace(notice=lambda text: None)
    one = Verifier(2, nobody, nobody, None, telling, nobody, lambda prepared: True)
    found = asyncio.run(one.verify(prepared, report, None, CancelToken()))
    assert found is not None
    told = found.as_dict()
    assert (told["agrees"], told["problem"]) == (None, "it runs in place")
    require_agreement([cast(Any, SimpleNamespace(task="core#build", verification=found))])
