"""Asks for ten builds at once, of the same and of different workspaces, and kills the node between.

    uv run python tests/faults/random_at_once.py [--rounds 50] [--seed N]

In each round files of four workspaces are edited and ten builds asked for; while they run the node
is killed by SIGKILL, stopped, or left alone. Afterwards a build of each workspace must succeed, and
each output be made from the source that lies beside it.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from buildnet.cli.client import AnswerError, Client, NodeUnreachableError
from buildnet.mesh.errors import BuildNetError
from testbed.forked_nodes import ForkedNode, ForkServer

WORKSPACES, PACKAGES, AT_ONCE = 4, 8, 10
STOPS_WITHIN_S = 20.0
COMMAND = "mkdir -p dist/o && cat src/a > dist/o/a && sleep 0.0{tens} && cat src/a > a.gen"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    numbers = random.Random(arguments.seed)
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="buildnet-at-once-") as name, ForkServer() as server:
        roots = [Path(name) / f"w{number}" for number in range(WORKSPACES)]
        for root in roots:
            write(root, numbers)
        home = Path(name) / "home"
        node = ForkedNode(server, home, "node", listen="127.0.0.1:0", bare=True)
        node.start()
        try:
            for _ in range(arguments.rounds):
                play(node, roots, numbers, counts)
        finally:
            node.kill()
    for what, count in sorted(counts.items()):
        print(f"{count:6} {what}")
    return 0


def write(root: Path, numbers: random.Random) -> None:
    """Write a workspace with packages of all levels of isolation."""
    packages = []
    for number in range(PACKAGES):
        path = f"packages/p{number}"
        (root / path / "src").mkdir(parents=True)
        (root / path / "src" / "a").write_text(f"{root.name} {number}\n")
        package = {
            "name": f"p{number}",
            "path": path,
            "dependencies": [f"p{number - 1}"] if number % 3 else [],
            "sources": [f"{path}/src/**"],
            "build_cmd": COMMAND.format(tens=numbers.randrange(9)),
            "outputs": [f"{path}/dist/**", f"{path}/*.gen"],
        }
        level = (None, "strict", "staged", "workspace")[number % 4]
        packages.append(package | ({} if level is None else {"isolation": level}))
    (root / "buildnet.yaml").write_text(json.dumps({"workspace": root.name, "packages": packages}))


def play(node: ForkedNode, roots: list[Path], numbers: random.Random, counts: Counter[str]) -> None:
    """Play a round.

    Raises:
        AssertionError: something was wrong.
    """
    for root in roots:
        for number in numbers.sample(range(PACKAGES), numbers.randrange(4)):
            source = root / f"packages/p{number}/src/a"
            source.write_text(f"{numbers.randrange(10**6):06}\n")
    end = numbers.choice(("kill", "kill", "stop", "none"))
    with ThreadPoolExecutor(AT_ONCE) as threads:
        asked = [threads.submit(build, node, numbers.choice(roots)) for _ in range(AT_ONCE)]
        if end != "none":
            time.sleep(numbers.random() * 0.6)
            began = time.monotonic()
            node.kill() if end == "kill" else node.stop()
            assert time.monotonic() - began < STOPS_WITHIN_S, "it took too long to stop"
        statuses = [each.result() for each in asked]
    if end == "none":
        assert set(statuses) == {"succeeded"}, statuses
    else:
        node.start()
    counts.update(f"{status} ({end})" for status in statuses)
    for root in roots:
        status = build(node, root)
        assert status == "succeeded", (root.name, status)
        for number in range(PACKAGES):
            package = root / f"packages/p{number}"
            wanted = (package / "src/a").read_text()
            for made in ("dist/o/a", "a.gen"):
                assert (package / made).read_text() == wanted, (root.name, number, made)
    counts["rounds"] += 1


def build(node: ForkedNode, root: Path) -> str:
    """Build a workspace; return the build's status, or why there is none."""
    body = {"root": str(root), "keep_going": True}
    try:
        client = Client(socket_path=node.home.socket_path())
        with client.stream("/api/build", body) as events:
            for event in events:
                if event["type"] == "build_finished":
                    return str(event["report"]["status"])
    except (AnswerError, NodeUnreachableError) as error:
        return error.code
    except (BuildNetError, OSError) as error:
        return type(error).__name__
    return "broken off"


if __name__ == "__main__":
    sys.exit(main())
