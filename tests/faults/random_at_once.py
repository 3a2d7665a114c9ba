"""Asks for ten builds at once, of the same and of different workspaces, and kills the node between.

    uv run python tests/faults/random_at_once.py [--rounds 50] [--seed N]

In each round files of four workspaces are edited and ten builds asked for, of everything or of some
packages; while they run files are edited again, and the node is killed by SIGKILL, stopped, or left
alone. Afterwards a build of each workspace must succeed, and each output be made from the source
that lies beside it. In two of the workspaces some commands run in place, so their builds wait for
each other; those of the others do where they need the same packages.
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
COMMAND = "mkdir -p dist/o && cat src/a > dist/o/a && sleep 0.0{tens} && cat {seen} > a.gen"


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
    """Write a workspace with packages of several levels of isolation."""
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
            "build_cmd": COMMAND.format(tens=numbers.randrange(9), seen=seen_by(number)),
            "outputs": [f"{path}/dist/**", f"{path}/*.gen"],
        }
        in_place = "workspace" if root.name in ("w0", "w1") else "staged"
        level = (None, "strict", "staged", in_place)[number % 4]
        packages.append(package | ({} if level is None else {"isolation": level}))
    (root / "buildnet.yaml").write_text(json.dumps({"workspace": root.name, "packages": packages}))


def seen_by(number: int) -> str:
    """Return what a package's file is made from: its source, and what it depends on."""
    return f"../p{number - 1}/a.gen src/a" if number % 3 else "src/a"


def play(node: ForkedNode, roots: list[Path], numbers: random.Random, counts: Counter[str]) -> None:
    """Play a round.

    Raises:
        AssertionError: something was wrong.
    """
    for root in roots:
        edit(root, numbers, numbers.randrange(4))
    end = numbers.choice(("kill", "kill", "stop", "none", "edited"))
    with ThreadPoolExecutor(AT_ONCE) as threads:
        asked = [
            threads.submit(build, node, numbers.choice(roots), some(numbers))
            for _ in range(AT_ONCE)
        ]
        if end == "edited":
            for _ in range(10):
                time.sleep(numbers.random() * 0.1)
                edit(root := numbers.choice(roots), numbers, 1)
                asked.append(threads.submit(build, node, root, some(numbers)))
        if end in ("kill", "stop"):
            time.sleep(numbers.random() * 0.6)
            began = time.monotonic()
            node.kill() if end == "kill" else node.stop()
            assert time.monotonic() - began < STOPS_WITHIN_S, "it took too long to stop"
        statuses = [each.result() for each in asked]
    if end == "none":
        assert set(statuses) == {"succeeded"}, statuses
    elif end != "edited":
        node.start()
    counts.update(f"{status} ({end})" for status in statuses)
    for root in roots:
        status = build(node, root)
        assert status == "succeeded", (root.name, status)
        for number in range(PACKAGES):
            package = root / f"packages/p{number}"
            wanted = (package / "src/a").read_text()
            assert (package / "dist/o/a").read_text() == wanted, (root.name, number)
            if number % 3:
                wanted = (package.parent / f"p{number - 1}/a.gen").read_text() + wanted
            assert (package / "a.gen").read_text() == wanted, (root.name, number)
    counts["rounds"] += 1


def edit(root: Path, numbers: random.Random, count: int) -> None:
    """Edit the sources of some packages; some are put back to what they were once."""
    for number in numbers.sample(range(PACKAGES), count):
        text = numbers.randrange(4 if numbers.random() < 0.5 else 10**6)
        (root / f"packages/p{number}/src/a").write_text(f"{text:06}\n")


def some(numbers: random.Random) -> tuple[str, ...]:
    """Return packages to be built; none: all."""
    count = numbers.choice((0, 1, 1, 2))
    return tuple(f"p{number}" for number in numbers.sample(range(PACKAGES), count))


def build(node: ForkedNode, root: Path, packages: tuple[str, ...] = ()) -> str:
    """Build a workspace; return the build's status, or why there is none."""
    body = {"root": str(root), "packages": packages, "keep_going": True}
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
