"""A file is written whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.api_answers import answering

from buildnet.cli import run
from buildnet.cli.commands import invoke
from buildnet.cli.ledger_checks import FileError
from buildnet.cli.settings import Settings
from buildnet.cli.testing import http_answer
from buildnet.cli.whole_file import write_whole


def test_what_was_there_stays_until_all_of_the_new_one_is(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("before")

    def parts() -> Iterator[bytes]:
        yield b"one"
        assert file.read_text() == "before"
        raise OSError(28, "No space left on device")

    with pytest.raises(FileError, match="can't be written") as caught:
        write_whole(file, parts(), hint="another")
    assert (caught.value.cause, caught.value.hint) == ("No space left on device", "another")
    assert file.read_text() == "before"
    assert [one.name for one in tmp_path.iterdir()] == ["file"]
    assert write_whole(file, [b"one ", b"two"], hint="") == 7
    assert file.read_text() == "one two"


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileError):
        write_whole(tmp_path, [b"x"], hint="")


@pytest.mark.parametrize(("size", "told"), [(1, "1 B"), (1536, "1.5 KiB")])
def test_the_size_of_what_was_written_is_for_people(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    size: int,
    told: str,
) -> None:
    home, file = tmp_path / "home", tmp_path / "export"
    monkeypatch.setenv("BUILDNET_HOME", str(home))
    monkeypatch.setattr(run, "_current", Settings())  # not those of a test before this one
    answers = http_answer('{"pruned": null}'), http_answer("x" * size, type="text/csv")
    with answering(home, *answers):
        assert invoke(["audit", "export", "--out", str(file)]) == 0
    assert capsys.readouterr().out.replace("\n", " ").strip() == f"{told} written to {file}"
