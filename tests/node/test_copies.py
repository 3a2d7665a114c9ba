"""Copies of the ledger that are on their way."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildnet.node.api.copies import MOST_COPIES, Copies
from buildnet.node.auth.refusal import TooManyRequestsError


def test_there_are_few_at_once_and_nothing_is_left_of_them(tmp_path: Path) -> None:
    copies = Copies(lambda: tmp_path)
    files = [copies.begin() for _ in range(MOST_COPIES)]
    with pytest.raises(TooManyRequestsError):
        copies.begin()
    files[0].close()  # it was read to its end
    files[0] = copies.begin()
    with pytest.raises(TooManyRequestsError):
        copies.begin()
    files.pop().close()
    copies.begin().close()
    assert list(tmp_path.iterdir()) == []
    for file in files:
        file.close()
