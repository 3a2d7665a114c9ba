"""Changing node.yaml a key at a time, and telling where each setting comes from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.node.certificates import make_certificate

from buildnet.ledger.store.vault import VaultError
from buildnet.mesh.errors import UsageError
from buildnet.node.certificate import CertificateError
from buildnet.node.config import ConfigError, NodeConfig, load_config, parse_config
from buildnet.node.config_file import ConfigWriteError, change
from buildnet.node.config_view import SettingView, _leaves, settings_view
from buildnet.node.in_force import LIVE, InForce
from buildnet.node.setting_help import SETTING_HELP
from buildnet.node.terms import Terms
from buildnet.pool.yaml_document import YamlError

WRITTEN = """\
# what this host gives
node_name: studio   # under the desk

workers:
  max: 4            # two are kept
  timeout: "10m"
"""


def test_a_value_changes_and_all_else_stays(tmp_path: Path) -> None:
    file = tmp_path / "node.yaml"
    file.write_text(WRITTEN)
    assert change(file, "workers.max", 6).workers.max == 6
    assert file.read_text() == WRITTEN.replace("max: 4", "max: 6")
    change(file, "resource_limits.memory.max_gb", 2.5)
    assert file.read_text().startswith(WRITTEN.replace("max: 4", "max: 6"))
    assert load_config(file).resource_limits.memory.max_gb == 2.5


def test_a_section_goes_with_its_last_key(tmp_path: Path) -> None:
    file = tmp_path / "node.yaml"
    change(file, "resource_limits.memory.max_gb", 2.5)
    change(file, "node_tags", ["a", "b"])
    assert change(file, "resource_limits.memory.max_gb", None) == NodeConfig(node_tags=("a", "b"))
    assert "resource_limits" not in file.read_text()
    change(file, "node_tags", None)
    assert change(file, "node_tags", None) == NodeConfig()


def test_a_new_file_is_private_and_an_old_one_keeps_its_mode_and_its_link(tmp_path: Path) -> None:
    file, link = tmp_path / "real.yaml", tmp_path / "node.yaml"
    link.symlink_to(file)
    change(link, "node_name", "one")
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o640)
    change(link, "node_name", "two")
    assert link.is_symlink()
    assert file.stat().st_mode & 0o777 == 0o640
    assert load_config(link).node_name == "two"


def test_json_stays_json(tmp_path: Path) -> None:
    file = tmp_path / "node.yaml"
    file.write_text('{\n\t"node_name": "studio"\n}\n')
    change(file, "workers.max", 3)
    assert json.loads(file.read_text()) == {"node_name": "studio", "workers": {"max": 3}}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{workers: {max: 1}}\n", "{workers: {max: 3}}\n"),
        ('{"workers": {"max": 1}}  # all\n', '{"workers": {"max": 3}}  # all\n'),
    ],
)
def test_yaml_in_braces_is_no_json(before: str, after: str, tmp_path: Path) -> None:
    file = tmp_path / "node.yaml"
    file.write_text(before)
    change(file, "workers.max", 3)
    assert file.read_text() == after


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("workers.mx", 4, "unknown key 'mx' in workers"),
        ("workers.max", 0, "wrong value '0' for workers.max"),
        ("workers.max", "four", "wrong value 'four' for workers.max"),
        ("node_name.first", "x", "node_name in node_name.first has no keys"),
        ("nodename", "x", "unknown key 'nodename'"),
        ("nodename", None, "unknown key 'nodename'"),
        ("workers.mx", None, "unknown key 'mx' in workers"),
        ("workers", {"max:1": None}, "unknown key 'max:1' in workers"),
        ("cache.max_gb", 1e300, "wrong value '1e+300' for cache.max_gb"),
        ("cache.max_gb", float("inf"), "wrong value '.inf' for cache.max_gb"),
        ("workers..max", 1, "is no key"),
        ("", 1, "is no key"),
    ],
)
def test_what_the_node_could_not_start_with_is_refused(
    tmp_path: Path, key: str, value: Any, told: str
) -> None:
    file = tmp_path / "node.yaml"
    file.write_text(WRITTEN)
    with pytest.raises(UsageError) as error:
        change(file, key, value)
    assert told in error.value.message
    assert file.read_text() == WRITTEN


def test_a_certificate_that_can_not_be_used_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "node.yaml"
    file.write_text("cache: {max_gb: 5}\n")
    made = make_certificate(tmp_path)
    files = {"certificate": str(made.certificate), "key": str(made.key)}
    missing = str(tmp_path / "missing.pem")
    with pytest.raises(CertificateError, match="nothing was changed"):
        change(file, "network.tls", {**files, "certificate": missing})
    assert file.read_text() == "cache: {max_gb: 5}\n"
    assert change(file, "network.tls", files).network.tls == made
    with pytest.raises(CertificateError):
        change(file, "network.tls.certificate", missing)
    made.certificate.unlink()
    assert change(file, "cache.max_gb", 6).network.tls == made  # what it does not touch


def test_a_key_of_the_ledger_that_is_not_there_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "node.yaml"
    with pytest.raises(VaultError):
        change(file, "ledger.encryption.key_file", str(tmp_path / "missing.key"))
    assert not file.exists()


@pytest.mark.parametrize(("text", "kind"), [("workers: [", YamlError), ("no: 1", ConfigError)])
def test_a_file_that_is_wrong_already_is_not_touched(
    tmp_path: Path, text: str, kind: type[Exception]
) -> None:
    file = tmp_path / "node.yaml"
    file.write_text(text)
    with pytest.raises(kind):
        change(file, "workers.max", 2)
    assert file.read_text() == text


def test_comments_alone_stay(tmp_path: Path) -> None:
    file = tmp_path / "node.yaml"
    file.write_text("# nothing yet\n")
    change(file, "node_name", "studio")
    assert file.read_text() == "# nothing yet\nnode_name: studio\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("null\n", ""),
        ("~", ""),
        ("--- null  # nothing\n", "# nothing\n"),
        ("# above\nnull # here\n# below", "# above\n# here\n# below\n"),
        ("# without an end", "# without an end\n"),
    ],
)
def test_a_file_that_says_nothing_takes_a_value(before: str, after: str, tmp_path: Path) -> None:
    file = tmp_path / "node.yaml"
    file.write_text(before)
    change(file, "node_name", "studio")
    assert file.read_text() == f"{after}node_name: studio\n"


@pytest.mark.parametrize("text", [WRITTEN, '{\n  "workers": {\n    "max": 4\n  }\n}\n'])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_lines_end_as_before_and_a_mark_stays(
    text: str, mark: bytes, newline: str, tmp_path: Path
) -> None:
    file, form = tmp_path / "node.yaml", text.replace("\n", newline)
    file.write_bytes(mark + form.encode())
    assert change(file, "workers.max", 6).workers.max == 6
    changed = form.replace("max: 4", "max: 6").replace('"max": 4', '"max": 6')
    assert file.read_bytes() == mark + changed.encode()


def test_a_disk_that_takes_nothing_leaves_the_file(tmp_path: Path) -> None:
    file = tmp_path / "node.yaml"
    file.write_text(WRITTEN)
    (tmp_path / ".node.yaml.part").mkdir()
    with pytest.raises(ConfigWriteError, match="can't be written"):
        change(file, "workers.max", 2)
    assert file.read_text() == WRITTEN


_texts = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1)


@settings(max_examples=30)
@given(_texts.map(lambda text: text[:40]), st.lists(_texts.map(lambda text: text[:40]), max_size=3))
def test_any_text_is_read_again_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, name: str, tags: list[str]
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_text(WRITTEN)
    change(file, "node_tags", tags)
    assert change(file, "node_name", name) == parse_config(file.read_text(), "any")
    read = load_config(file)
    assert (read.node_name, list(read.node_tags)) == (name, tags)


def views(in_force: InForce) -> dict[str, SettingView]:
    return {one.key: one for one in settings_view(in_force)}


def test_each_setting_tells_where_it_comes_from(tmp_path: Path) -> None:
    file = tmp_path / "node.yaml"
    file.write_text(WRITTEN)
    in_force = InForce(
        tmp_path / "terms",
        file,
        load_config(file),
        {"network.listen_address": "::1", "network.listen_port": 81},
    )
    in_force.say(Terms(max_commands=2))
    found = views(in_force)
    assert found["node_name"] == SettingView("node_name", "studio", "node.yaml:2", False)
    assert found["workers.max"] == SettingView("workers.max", 2, "server update", True)
    assert found["workers.timeout"].origin == "node.yaml:6"
    assert found["cache.max_gb"] == SettingView("cache.max_gb", 20.0, "default", True)
    assert found["network.listen_address"].origin == "start option"
    assert found["network.listen_port"].value == 81


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("scheduling.hold_outputs", 72 * 3600, "3d"),
        ("workers.timeout", "90m", "90m"),
        ("workers.timeout", 0.25, "0.25s"),
        ("workers.output_limit", "64 MB", "64 MB"),
        ("workers.memory", "1.5 GB", "1536 MB"),
        ("network.bulk_limit", 1024**2 + 1, "1048577 B"),
        ("ledger.retention", "30d", "30d"),
        ("cache.max_gb", 5, None),
    ],
)
def test_durations_and_sizes_are_told_as_they_are_written(
    tmp_path: Path, key: str, value: Any, text: str | None
) -> None:
    file = tmp_path / "node.yaml"
    in_force = InForce(tmp_path / "terms", file, change(file, key, value))
    found = views(in_force)[key]
    assert found.text == text
    if text is not None:  # it can be written back
        before = load_config(file)
        assert change(file, key, text) == before


def test_what_counts_from_the_next_start_is_told_beside_what_counts_now(tmp_path: Path) -> None:
    file = tmp_path / "node.yaml"
    file.write_text(WRITTEN)
    in_force = InForce(tmp_path / "terms", file, load_config(file))
    change(file, "workers.timeout", "1h")
    change(file, "cache.max_gb", 5)
    in_force.look()
    found = views(in_force)
    assert (found["workers.timeout"].value, found["workers.timeout"].next_start) == (600, (3600,))
    assert (found["workers.timeout"].text, found["workers.timeout"].next_text) == ("10m", "1h")
    assert (found["cache.max_gb"].value, found["cache.max_gb"].next_start) == (5, ())
    file.write_text("workers: [")
    in_force.look()
    assert views(in_force)["workers.timeout"].value == 600


def test_what_is_live_is_in_the_reference() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/node-yaml.md").read_text()
    _, _, section = page.partition("## What counts without a new start")
    missing = [key for key in LIVE if f"`{key}`" not in section.partition("\n## ")[0]]
    assert not missing


def test_each_setting_says_in_one_line_what_it_is_for() -> None:
    keys = [key for key, _ in _leaves(NodeConfig())]
    assert keys == list(SETTING_HELP)
    assert all(0 < len(line) <= 80 and "\n" not in line for line in SETTING_HELP.values())
