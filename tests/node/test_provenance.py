"""What is stated of builds: of which results, and in which files."""

from __future__ import annotations

from typing import Any

from buildnet.node.provenance import _actions, _file_names


def test_no_two_packages_share_a_file() -> None:
    packages = ["@a/b", "@a-b", "@A/B", "..", "x" * 300, "x" * 301, "core"]
    names = _file_names("shop", packages, "build")
    assert names["core"] == "shop.core.build.intoto.json"
    assert names["@a/b"] == "shop.@a-b.build.intoto.json"
    assert list(names) == packages
    assert len({one.lower() for one in names.values()}) == len(packages)
    assert all("/" not in one and len(one) < 255 for one in names.values())


def test_the_results_of_shards_are_among_those_of_a_build() -> None:
    # As the end of a build sums them up, or no result has a place among them.
    shards = [{"shard": "1/2", "action": "c"}, {"shard": "2/2", "action": None}]
    rows: list[dict[str, Any]] = [
        {"name": "core", "action": "a", "shards": []},
        {"name": "core", "action": None, "shards": shards},
        {"name": "app", "action": "b"},
    ]
    assert _actions(rows) == ["a", "c", "b"]
