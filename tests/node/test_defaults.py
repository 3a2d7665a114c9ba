"""The default profile: by workspace or for all, kept in a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildnet.node.defaults import Defaults, DefaultsError

ROOT, OTHER = Path("/w/shop"), Path("/w/blog")


def test_a_workspace_has_its_own_before_that_of_all(tmp_path: Path) -> None:
    file = tmp_path / "defaults.json"
    defaults = Defaults(file)
    assert defaults.is_empty
    assert not file.exists()
    defaults.use_profile("speed")
    defaults.use_profile("near", ROOT)
    for each in (defaults, Defaults(file)):
        assert (each.profile(ROOT), each.profile(OTHER)) == ("near", "speed")
        assert not each.is_empty
    defaults.use_profile(None)
    assert (defaults.profile(ROOT), defaults.profile(OTHER)) == ("near", None)
    defaults.use_profile(None, ROOT)
    assert Defaults(file).is_empty


@pytest.mark.parametrize("text", ["", "[]", '{"profile": 1, "workspaces": {}}', "\xff"])
def test_a_damaged_file_means_none(tmp_path: Path, text: str) -> None:
    file = tmp_path / "defaults.json"
    file.write_text(text, "latin-1")
    defaults = Defaults(file)
    assert defaults.is_empty
    defaults.use_profile("speed")
    assert Defaults(file).profile(ROOT) == "speed"


def test_what_can_not_be_kept_is_not_taken(tmp_path: Path) -> None:
    defaults = Defaults(tmp_path / "gone" / "defaults.json")
    with pytest.raises(DefaultsError):
        defaults.use_profile("speed")
    assert defaults.is_empty
