"""The names of files that hold statements of where files come from."""

from __future__ import annotations

from buildnet.node.provenance import _file_names


def test_no_two_packages_share_a_file() -> None:
    packages = ["@a/b", "@a-b", "@A/B", "..", "x" * 300, "x" * 301, "core"]
    names = _file_names("shop", packages, "build")
    assert names["core"] == "shop.core.build.intoto.json"
    assert names["@a/b"] == "shop.@a-b.build.intoto.json"
    assert list(names) == packages
    assert len({one.lower() for one in names.values()}) == len(packages)
    assert all("/" not in one and len(one) < 255 for one in names.values())
