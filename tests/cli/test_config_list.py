"""Which nodes ``config list`` tells of a configuration."""

import pytest

from buildnet.cli.config import _nodes_text


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ([], "all"),
        (["attic", "harbour"], "attic, harbour and the asked one"),
        (["local", "attic"], "local, attic"),
    ],
)
def test_the_asked_node_is_told_where_others_alone_are_named(named: list[str], said: str) -> None:
    cpu = {"node_allocations": [{"node_id": name} for name in named]}
    assert _nodes_text(cpu, {}) == said


def test_a_configuration_for_one_node_is_for_this_one() -> None:
    assert _nodes_text({"node_allocations": [{"node_id": "local"}]}, {"local_only": True}) == (
        "this one"
    )
