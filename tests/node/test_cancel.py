"""A token that ends what is under way: who waits is called, once."""

from __future__ import annotations

import threading

from buildnet.node.execute.cancel import CancelToken


def test_a_cancel_token_calls_whoever_waits_once() -> None:
    token = CancelToken()
    calls: list[str] = []
    with token.calling(lambda: calls.append("left")):
        pass
    with token.calling(lambda: calls.append("waiting")):
        thread = threading.Thread(target=token.set)
        thread.start()
        thread.join()
        token.set()
    with token.calling(lambda: calls.append("late")):
        pass
    assert calls == ["waiting", "late"]
    assert token.is_set()
