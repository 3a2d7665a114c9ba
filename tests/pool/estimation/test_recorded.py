"""Recorded mixes of real builds, foretold again: what is promised of estimates holds for them."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median

import pytest

from testbed.estimate_mix import RECORDED, described, errors_and_share, replayed

FILES = sorted(RECORDED.glob("*.json"))


def test_there_are_some() -> None:
    assert FILES


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_half_of_them_are_off_by_little_and_four_fifths_end_in_their_range(file: Path) -> None:
    foretold = replayed(json.loads(file.read_text()))
    errors, share = errors_and_share(foretold)
    assert median(errors) <= 0.15, described(foretold)
    assert 0.7 <= share <= 0.9, described(foretold)
