"""What was given up is listed with its attempts, tried again, and forgotten."""

from __future__ import annotations

from pathlib import Path

from testbed.building import many_commands
from testbed.nodes import Cluster


def test_commands_that_fail_on_several_hosts_are_listed_and_tried_again(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path / "nodes", 2)
    for node in cluster.members:
        node.home.directory.mkdir(parents=True)
        node.home.config.write_text("workers: {max: 1}\n")
    with cluster:
        one, other = cluster.members
        root = many_commands(tmp_path / "w", "dead", "sleep 0.5; kill -9 $$", 4)
        one.command.build(root, "--keep-going", code=1)
        letters = one("queue", "dead", "list", "--json").data["letters"]
        assert letters
        letter = letters[0]
        assert {each["node_name"] for each in letter["attempts"]} <= {other.name, None}
        assert other.identity in {each["node"] for each in letter["attempts"]}
        assert all("SIGKILL" in each["why"] for each in letter["attempts"])
        shown = one("queue", "dead", "show", letter["id"][:6])
        assert shown.code == 0, shown.err
        assert f"{other.name}, " in shown.out
        # It outlives the node.
        one.stop()
        one.start()
        assert one("queue", "dead", "retry", letter["id"]).code == 1
        many_commands(root, "dead", "cp in.txt out.txt", 4)
        (again,) = [
            each
            for each in one("queue", "dead", "list", "--json").data["letters"]
            if each["package"] == letter["package"]
        ]
        retried = one("queue", "dead", "retry", again["id"])
        assert retried.code == 0, retried.err
        left = one("queue", "dead", "list", "--json").data["letters"]
        assert letter["package"] not in {each["package"] for each in left}
        # By the API, which any page may use; the id of a letter that is given up again changes.
        for each in left:
            asked = one.post(f"/api/dead-letters/{each['id']}/retry", {"actor": "ann"})
            assert one("build", "--attach", asked["build_id"], "--json").code == 0
        assert one("queue", "dead", "list", "--json").data["letters"] == []
        assert one("queue", "dead", "clear").code == 2
        assert one("queue", "dead", "clear", "--yes").code == 0
        assert "nothing was given up" in one("queue", "dead", "list").out
