from __future__ import annotations

import json
from pathlib import Path
from types import UnionType
from typing import get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel

from buildnet.mesh.errors import BuildNetError
from buildnet.node.config import (
    _SECTIONS,
    ConfigError,
    NodeConfig,
    load_config,
    parse_config,
)
from buildnet.pool.yaml_document import YamlError

# The example of the source document, section 2.4, as YAML.
MANIFEST = """\
node_id: auto
node_name: dev-macbook
node_tags: [development, primary]
resource_limits:
  cpu:
    max_cores: 6
    reserved_cores: [0, 1]
  memory:
    max_gb: 24
    reserved_gb: 8
  storage:
    - path: /Users/me/buildnet-cache
      max_gb: 100
      purpose: cache
    - path: /Volumes/FastSSD/builds
      max_gb: 200
      purpose: builds
tool_overrides:
  imagemagick:
    path: /opt/homebrew/bin/magick
    enabled: true
  docker:
    enabled: false
network:
  listen_port: 80
  advertise_address: 192.168.1.100
  peers:
    - https://buildnet.musclemap.me
    - http://192.168.1.101:80
scheduling:
  accept_remote_builds: true
  priority_weight: 1.0
  time_restrictions:
    local_only_hours: ["09:00-17:00"]
"""


def test_the_source_documents_manifest() -> None:
    config = parse_config(MANIFEST, "node.yaml")
    assert config.node_name == "dev-macbook"
    assert config.resource_limits.cpu.max_cores == 6
    assert config.resource_limits.cpu.reserved_cores == (0, 1)
    assert config.resource_limits.memory.model_dump() == {"max_gb": 24.0, "reserved_gb": 8.0}
    cache, builds = config.resource_limits.storage
    assert (str(cache.path), cache.purpose, cache.max_bytes) == (
        "/Users/me/buildnet-cache",
        "cache",
        100 * 1024**3,
    )
    assert builds.purpose == "builds"
    assert config.tool_overrides["imagemagick"].path == Path("/opt/homebrew/bin/magick")
    assert not config.tool_overrides["docker"].enabled
    assert config.network.advertise_address == "192.168.1.100"
    assert config.network.peers == ("https://buildnet.musclemap.me", "http://192.168.1.101:80")
    assert config.scheduling.time_restrictions.local_only_hours == ("09:00-17:00",)


def test_json_is_read_too_also_with_tabs() -> None:
    data = parse_config(MANIFEST, "node.yaml").model_dump(mode="json")
    assert parse_config(json.dumps(data), "node.json") == parse_config(MANIFEST, "node.yaml")
    tabbed = json.dumps(data, indent="\t")
    assert parse_config(tabbed, "node.json") == parse_config(MANIFEST, "node.yaml")


def test_defaults(tmp_path: Path) -> None:
    config = load_config(tmp_path / "missing.yaml")
    assert config == NodeConfig() == parse_config("", "x") == parse_config("workers:\n", "x")
    assert (config.network.listen_address, config.network.listen_port) == ("0.0.0.0", 80)
    assert config.cache.max_bytes == 20 * 1024**3
    assert (config.workers.max, config.workers.timeout) == (None, 1800.0)
    assert config.workers.output_limit == 64 * 1024**2
    assert (config.log.level, config.log.format) == ("info", "auto")


def test_how_a_node_takes_part_in_a_cluster() -> None:
    config = parse_config(
        "node_role: observer\nnetwork: {discovery: false, proxies: true}\n", "node.yaml"
    )
    assert config.node_role == "observer"
    assert (config.network.discovery, config.network.proxies) == (False, True)
    assert config.network.bulk_limit is None
    limited = parse_config("network: {bulk_limit: 50 MB}", "node.yaml")
    assert limited.network.bulk_limit == 50 * 1024**2


def test_durations_and_sizes() -> None:
    config = parse_config("workers: {max: 4, timeout: 1h30m, output_limit: 10 MB}", "x")
    assert (config.workers.timeout, config.workers.output_limit) == (5400.0, 10 * 1024**2)


def test_how_the_ledger_is_kept() -> None:
    text = "ledger: {retention: 90d, scrub_interval: 1h, encryption: {key_file: /keys/ledger}}"
    said = parse_config(text, "node.yaml").ledger
    assert (said.retention, said.scrub_interval) == (90 * 86_400, 3600)
    assert said.encryption.key_file == Path("/keys/ledger")
    assert NodeConfig().ledger.retention is None
    for wrong, expected in (("retention: 1h", "24h or more"), ("scrub_interval: 5s", "1m or more")):
        with pytest.raises(ConfigError, match=expected):
            parse_config(f"ledger: {{{wrong}}}", "node.yaml")


def test_a_home_directory_in_a_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    config = parse_config("tool_overrides: {git: {path: ~/bin/git}}", "x")
    assert config.tool_overrides["git"].path == tmp_path / "bin/git"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "resource_limits:\n  cpu:\n    max_core: 3\n",
            "node.yaml:3: unknown key 'max_core' in resource_limits.cpu",
            "did you mean 'max_cores'?",
        ),
        ("node_nam: x", "node.yaml:1: unknown key 'node_nam'", "did you mean 'node_name'?"),
        (
            "log:\n  xyz: 1\n",
            "node.yaml:2: unknown key 'xyz' in log",
            "known keys: level, format",
        ),
        (
            "resource_limits:\n  storage:\n    - path: /x\n      purpos: c\n",
            "node.yaml:4: unknown key 'purpos' in resource_limits.storage[0]",
            "did you mean 'purpose'?",
        ),
        (
            "tool_overrides:\n  docker:\n    enable: no\n",
            "node.yaml:3: unknown key 'enable' in tool_overrides.docker",
            "did you mean 'enabled'?",
        ),
        (
            "\ntool_overrides:\n  dokcer: {enabled: no}\n",
            "node.yaml:3: unknown tool 'dokcer' in tool_overrides",
            "did you mean 'docker'?",
        ),
        ("workers:\n  mx:\n", "node.yaml:2: unknown key 'mx' in workers", "did you mean 'max'?"),
        (
            "resource_limits:\n  storage:\n    - {path: /x, purpos: }\n",
            "node.yaml:3: unknown key 'purpos' in resource_limits.storage[0]",
            "did you mean 'purpose'?",
        ),
        (
            "log: {level: infos}",
            "node.yaml:1: wrong value 'infos' for log.level:"
            " expected 'debug', 'info', 'warning' or 'error'",
            "did you mean 'info'?",
        ),
        (
            "node_id: 7f3a",
            "node.yaml:1: wrong value '7f3a' for node_id: expected 'auto'",
            "a node's id comes from its key; choose its name with node_name",
        ),
    ],
)
def test_errors_name_line_key_and_suggestion(text: str, message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "node.yaml")
    assert (caught.value.message, caught.value.hint) == (message, hint)
    assert (caught.value.code, caught.value.exit_code) == ("CONFIG", 2)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("resource_limits: {cpu: {max_cores: lots}}", "'lots' for resource_limits.cpu.max_cores"),
        ("resource_limits: {cpu: {max_cores: 0}}", "expected 1 or more"),
        ("network: {bulk_limit: 1000}", "expected 1 MB or more"),
        ("resource_limits: {cpu: {max_cores: yes}}", "'yes' .*expected a whole number"),
        ("resource_limits: {cpu: {max_cores: 2.5}}", "'2.5' .*expected a whole number"),
        ("resource_limits: {cpu: {reserved_cores: [0, -1]}}", r"reserved_cores\[1\]"),
        ("resource_limits: {memory: {max_gb: 0}}", "expected more than 0"),
        ("resource_limits: {memory: {max_gb: .inf}}", "expected a finite number"),
        ("resource_limits: {memory: {max_gb: '8'}}", "expected a number"),
        ("resource_limits: {storage: [{max_gb: 3}]}", "the key 'path' is missing"),
        ("resource_limits: {storage: [{path: rel/x}]}", "expected an absolute path"),
        ("resource_limits: {storage: {path: /x}}", "expected a list"),
        ("tool_overrides: {docker: false}", "expected keys and values"),
        ("tool_overrides: {docker: {enabled: maybe}}", "'maybe' .*expected true or false"),
        ("workers: {timeout: soon}", "expected a duration"),
        ("workers: {timeout: 0}", "expected a duration"),
        ("workers: {output_limit: a lot}", "expected a size"),
        ("workers: 3", "wrong value '3' for workers: expected keys and values"),
        ("network: {listen_port: 99999}", "expected 65535 or less"),
        ("network: {advertise_address: 'ftp://x'}", "expected an address such as"),
        ("network: {advertise_address: 'http://a b'}", "expected an address such as"),
        ("network: {advertise_address: 'https://x:0'}", "expected an address such as"),
        ("network: {advertise_address: 'https://me@x'}", "expected a URL such as"),
        ("network: {advertise_address: 'https://x?y=z'}", "expected a URL such as"),
        ("network: {advertise_address: 'a b'}", "expected a host name or address"),
        ("network: {advertise_address: 'x:99999'}", "expected a host name or address"),
        ("network: {peers: [nope]}", r"'nope' for network.peers\[0\]"),
        ("network: {peers: ['ftp://x']}", "expected an address such as"),
        ("network: {peers: ['http://x:99999']}", "expected an address such as"),
        ("scheduling: {priority_weight: -1}", "expected more than 0"),
        ("scheduling: {time_restrictions: {local_only_hours: ['9-17']}}", "expected hours"),
        ("scheduling: {time_restrictions: {local_only_hours: ['25:00-26:00']}}", "expected hours"),
        ("node_name: 12", "expected text"),
        ("node_name: ''", "expected some text"),
        ("node_tags: [a, [b]]", r"node_tags\[1\]: expected text"),
        ("- a list", "expected keys and values"),
    ],
)
def test_wrong_values_say_what_is_expected(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        parse_config(text, "node.yaml")


@pytest.mark.parametrize(
    "address",
    [
        *("192.168.1.100", "fd00::2", "[fd00::2]:80", "host.lan:8080"),
        *("https://build.example.org", "https://[fd00::2]:8443", "http://host.lan:8080"),
    ],
)
def test_addresses(address: str) -> None:
    config = parse_config(json.dumps({"network": {"advertise_address": address}}), "x")
    assert config.network.advertise_address == address


def test_all_problems_are_told_at_once_in_order() -> None:
    text = "resource_limits:\n  cpu:\n    max_cores: lots\nnode_nam: x\nworkers:\n  timeout: soon\n"
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "node.yaml")
    assert [one.line for one in caught.value.problems] == [3, 4, 6]
    assert len(caught.value.message.splitlines()) == 3
    assert "(did you mean 'node_name'?)" in caught.value.message


def test_malformed_yaml_is_told_by_line() -> None:
    with pytest.raises(YamlError, match=r"node.yaml:2: "):
        parse_config("node_name: x\n  bad: [\n", "node.yaml")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path)
    binary = tmp_path / "node.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config(binary)
    with pytest.raises(ConfigError, match="no such file"):
        load_config(tmp_path / "named.yaml", required=True)
    binary.write_bytes(b"\xef\xbb\xbfnode_name: x\n")
    assert load_config(binary).node_name == "x"


def test_every_section_is_known_to_the_suggestions() -> None:
    """Each model inside of NodeConfig stands in the table that suggestions are made from."""
    known = set(_SECTIONS)
    pending: list[type[BaseModel]] = [NodeConfig]
    while pending:
        section = pending.pop()
        for name, field in section.model_fields.items():
            said = field.annotation
            for kind in get_args(said) if isinstance(said, UnionType) else (said,):
                if isinstance(kind, type) and issubclass(kind, BaseModel):
                    assert _SECTIONS[section, name] is kind
                    pending.append(kind)
                    known.discard((section, name))
    assert {name for _, name in known} == {"storage", "tool_overrides"}


values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 99) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@example({"tool_overrides": {"\x1e": False}})
@given(st.dictionaries(st.sampled_from(list(NodeConfig.model_fields)), values, max_size=4))
def test_any_content_is_a_configuration_or_a_clear_error(data: dict[str, object]) -> None:
    text = json.dumps(data)
    try:
        parse_config(text, "node.yaml")
    except BuildNetError as error:
        refused = error
    else:
        return
    assert isinstance(refused, ConfigError | YamlError)
    assert all(line.startswith("node.yaml:1: ") for line in refused.message.splitlines())
