"""What is said of a host while it runs: within what its owner gives, kept, and in force at once."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from buildnet.node.config import NodeConfig, parse_config
from buildnet.node.grants import slots_of
from buildnet.node.in_force import InForce, TermsWriteError
from buildnet.node.terms import Terms, TermsError, check_within, in_force

OWNER = """
node_tags: [old]
resource_limits: {cpu: {max_cores: 4}, memory: {max_gb: 8}}
workers: {max: 6}
scheduling: {priority_weight: 2.0, time_restrictions: {local_only_hours: ["09:00-12:00"]}}
"""


def config(text: str = OWNER) -> NodeConfig:
    return parse_config(text, "node.yaml")


def test_terms_narrow_what_the_owner_gives() -> None:
    terms = Terms(
        tags=("new",),
        max_cores=2,
        max_commands=3,
        max_memory_gb=4.0,
        accept_remote_builds=False,
        priority_weight=0.5,
        local_only_hours=("20:00-22:00", "09:00-12:00"),
    )
    found = in_force(config(), terms)
    assert found.node_tags == ("new",)
    assert found.resource_limits.cpu.max_cores == 2
    assert found.resource_limits.memory.max_gb == 4.0
    assert found.workers.max == 3
    assert not found.scheduling.accept_remote_builds
    assert found.scheduling.priority_weight == 0.5
    assert found.scheduling.time_restrictions.local_only_hours == ("09:00-12:00", "20:00-22:00")
    assert in_force(config(), Terms()) == config()


@pytest.mark.parametrize(
    ("written", "said", "slots"),
    [
        ("{}", 9, 4),
        ("{}", 3, 3),
        ("{max: 2}", 9, 2),
        ("{min: 3}", 2, 2),
        ("{min: 6, max: 8}", 7, 6),
    ],
)
def test_fewer_commands_at_once_never_more(written: str, said: int, slots: int) -> None:
    found = in_force(config(f"workers: {written}"), Terms(max_commands=said))
    assert slots_of(found.workers, 4) == slots


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (Terms(max_cores=5), "5 cores are more than the owner gives: 4"),
        (Terms(max_commands=7), "7 commands at once"),
        (Terms(max_memory_gb=8.5), "8.5 GiB of memory"),
    ],
)
def test_more_than_the_owner_gives_is_refused(change: Terms, words: str) -> None:
    with pytest.raises(TermsError, match=words):
        check_within(config(), change)


def test_what_the_owner_does_not_lend_nobody_else_lends() -> None:
    with pytest.raises(TermsError, match="runs no commands of others"):
        check_within(
            config("scheduling: {accept_remote_builds: false}"), Terms(accept_remote_builds=True)
        )


@pytest.mark.parametrize(
    "text", ["", "[]", '{"tag": []}', '{"max_cores": 0}', '{"max_cores": "2"}']
)
def test_no_terms(text: str) -> None:
    with pytest.raises(TermsError, match="no terms of a host"):
        Terms.read(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"max_cores": "x"}', "max_cores: expected a whole number"),
        ('{"max_cores": 0}', "max_cores: expected 1 or more"),
        ('{"local_only_hours": ["9"]}', "local_only_hours.0: expected hours such as"),
        ('{"colour": 1}', "colour: there is no such setting"),
        ("[", "the text: it is no JSON"),
    ],
)
def test_what_is_wrong_is_told_in_our_words(text: str, words: str) -> None:
    with pytest.raises(TermsError, match=words):
        Terms.read(text)


def keeper(directory: Path) -> InForce:
    return InForce(directory / "terms.json", directory / "node.yaml", config())


def test_terms_outlive_the_node(tmp_path: Path) -> None:
    first = keeper(tmp_path)
    told: list[bool] = []
    first.on_change = lambda: told.append(first.terms.draining)
    assert first.say(Terms(draining=True, max_cores=1)) == Terms()
    first.say(Terms(draining=True))  # nothing new
    assert told == [True]
    second = keeper(tmp_path)
    assert second.terms == Terms(draining=True, max_cores=1)
    assert second.config.resource_limits.cpu.max_cores == 1
    second.say(Terms.read('{"max_cores": null, "draining": false}'))
    assert second.config == config()
    assert keeper(tmp_path).terms == Terms()


def test_what_cannot_be_read_lends_nothing(tmp_path: Path) -> None:
    (tmp_path / "terms.json").write_text("{")
    assert keeper(tmp_path).terms.draining


def test_what_was_said_is_on_the_disk_before_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def fsync(descriptor: int) -> None:
        is_directory = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        done.append("directory" if is_directory else "file")

    def replace(source: Path, target: Path) -> None:
        done.append("replaced")
        Path(source).rename(target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    kept = InForce(tmp_path / "terms.json", tmp_path / "node.yaml", config())
    kept.on_change = lambda: done.append("counts")
    kept.say(Terms(draining=True))
    assert done == ["file", "replaced", "directory", "counts"]


def test_what_cannot_be_kept_changes_nothing(tmp_path: Path) -> None:
    terms = keeper(tmp_path / "missing")
    with pytest.raises(TermsWriteError):
        terms.say(Terms(draining=True))
    assert not terms.terms.draining


def test_node_yaml_counts_again_as_far_as_it_can(tmp_path: Path) -> None:
    file = tmp_path / "node.yaml"
    file.write_text(OWNER)
    terms = keeper(tmp_path)
    terms.say(Terms(max_cores=3))
    terms.look()
    file.write_text(OWNER.replace("max_cores: 4", "max_cores: 2") + "node_name: other\n")
    terms.look()
    assert terms.config.resource_limits.cpu.max_cores == 2
    assert terms.config.node_name is None
    file.write_text("workers: {max: no}")
    terms.look()
    assert terms.problem is not None
    assert "workers.max" in terms.problem
    assert terms.config.workers.max == 6
    file.unlink()
    terms.look()
    assert terms.problem == "node.yaml is gone; that counts from the next start"
    assert terms.config.workers.max == 6
    file.write_text("{}")
    terms.look()
    assert terms.problem is None
    assert terms.config.workers.max is None
    assert terms.config.resource_limits.cpu.max_cores == 3


def test_a_new_host_gets_terms_as_settings() -> None:
    said = {
        "tags": ["gpu"],
        "max_cores": 4,
        "max_memory_gb": 8,
        "local_only_hours": ["09:00-17:00"],
    }
    assert Terms.of(
        {**said, "max_commands": None, "accept_remote_builds": False}
    ).as_settings() == {
        "node_tags": ["gpu"],
        "resource_limits.cpu.max_cores": 4,
        "resource_limits.memory.max_gb": 8,
        "scheduling.accept_remote_builds": False,
        "scheduling.time_restrictions.local_only_hours": ["09:00-17:00"],
    }
    with pytest.raises(TermsError, match="once it is there"):
        Terms(draining=True).as_settings()
