"""Following a build from the command line: how it ends where the node tells no more."""

from __future__ import annotations

from typing import Any, cast

import pytest

from buildnet.cli.client import NodeUnreachableError
from buildnet.cli.client.events import EventsEndedError
from buildnet.cli.detached import leave
from buildnet.cli.following import follow
from buildnet.cli.settings import Settings
from buildnet.mesh.errors import BuildNetError

STARTED = {"type": "build_started", "build_id": "b1", "tasks": 2, "dry_run": False}


REVOKED = {
    "type": "error",
    "code": "KEY_REVOKED",
    "message": "the key was revoked",
    "cause": None,
    "hint": "ask for another one",
    "exit_code": 4,
}


@pytest.mark.parametrize(
    ("last", "error", "said"),
    [
        ({"type": "notice", "text": "x"}, NodeUnreachableError, "stopped before the build"),
        ({"type": "told_no_more", "why": "32 MiB waited"}, EventsEndedError, "which goes on"),
        (REVOKED, EventsEndedError, "revoked"),
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
    assert ended.value.exit_code == last.get("exit_code", error.exit_code)


@pytest.mark.parametrize("last", [{"type": "told_no_more", "why": "32 MiB waited"}, REVOKED])
def test_a_build_that_is_left_alone_says_why_no_more_is_told(last: dict[str, Any]) -> None:
    with pytest.raises(EventsEndedError):
        leave(iter([STARTED, last]), Settings())


def test_the_review_of_a_build_of_another_node_is_of_its_report(
    capsys: pytest.CaptureFixture[str],
) -> None:
    nobody = cast(Any, lambda: pytest.fail("this node may have no record of it"))
    report = {
        **{"build_id": "b1", "workspace": "w", "status": "succeeded", "started_at": 0.0},
        **{"duration_ms": 1, "dry_run": False, "error": None, "packages": [], "unchanged": 0},
        "warnings": [],
    }
    finished: dict[str, Any] = {"type": "build_finished", "report": report}
    events = iter([STARTED, finished])
    assert follow(events, Settings(), nobody, review=True, cancels=False) == 0
    assert "nothing was measured" in capsys.readouterr().out
