"""Following a build from the command line: how it ends where the node tells no more."""

from __future__ import annotations

from typing import Any, cast

import pytest

from buildnet.cli.client import NodeUnreachableError
from buildnet.cli.client.events import EventsEndedError
from buildnet.cli.following import follow
from buildnet.cli.settings import Settings
from buildnet.mesh.errors import BuildNetError

STARTED = {"type": "build_started", "build_id": "b1", "tasks": 2, "dry_run": False}


@pytest.mark.parametrize(
    ("last", "error", "said"),
    [
        ({"type": "notice", "text": "x"}, NodeUnreachableError, "stopped before the build"),
        ({"type": "told_no_more", "why": "32 MiB waited"}, EventsEndedError, "which goes on"),
    ],
)
def test_a_build_that_is_told_no_more_is_no_success(
    last: dict[str, Any], error: type[BuildNetError], said: str
) -> None:
    nobody = cast(Any, lambda: pytest.fail("nobody asks for its end"))
    with pytest.raises(error, match=said) as ended:
        follow(iter([STARTED, last]), Settings(), nobody, cancels=False)
    assert ended.value.cause == last.get("why")
    assert ended.value.hint
