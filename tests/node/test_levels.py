"""Who runs commands at each level: found out once, for all builds."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest

from buildnet.node.execute import levels as module
from buildnet.node.execute.isolation import STRICT, Isolation, IsolationProbe
from buildnet.node.execute.levels import Levels


class Strict:
    """Stands for what runs commands in ``strict``; making it takes until another is made too."""

    isolation = STRICT
    both = threading.Barrier(2)

    def __init__(self, *_: object) -> None:
        with contextlib.suppress(threading.BrokenBarrierError):  # as it should be
            self.both.wait(0.2)


def test_builds_that_begin_at_once_have_one_executor_of_strict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Isolation(STRICT, launcher=cast(Any, object()))
    monkeypatch.setattr(IsolationProbe, "result", lambda self: found)
    monkeypatch.setattr(module, "StrictExecutor", Strict)
    levels = Levels(tmp_path, None, tmp_path, None)
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(lambda _: levels.strict(), range(2))
    assert first is second
    levels.close()
