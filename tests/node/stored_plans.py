"""A plan of a build as it is stored, and trees of files for one."""

from __future__ import annotations

from buildnet.mesh.digest import Digest
from buildnet.node.durable.stored_plan import Given, StoredPlan, StoredSources
from buildnet.pool.choice import Choice
from buildnet.pool.requirements import Requirements
from buildnet.pool.tree import DirectoryTree, FileEntry
from buildnet.pool.workspace import Install, Task, TaskId


def tree(**files: str) -> DirectoryTree:
    return DirectoryTree.from_paths(
        {
            path.replace("_", "/"): FileEntry(Digest.of(text.encode()))
            for path, text in files.items()
        }
    )


CORE, APP = TaskId("core", "build"), TaskId("app", "test")

PLAN = StoredPlan(
    build_id="b1",
    driver="00ff",
    workspace="shop",
    root="/shop",
    actor="ann",
    started_at=1.5,
    task="test",
    packages=("app",),
    keep_going=True,
    choice=Choice(parallel=3),
    isolation="strict",
    outputs=("core/dist",),
    environment={"CI": "yes"},
    platform={"ISA": "x86-64"},
    tools={"node": "22 abc"},
    words={"cp": "abc", "nothing": None},
    tasks=(
        Task(
            "app",
            "test",
            "run \udcff".replace("\udcff", "ÿ"),
            "app",
            depends_on=(CORE,),
            requirements=Requirements(cores=2, timeout_s=1.5),
            env={"A": "b"},
            shards="auto",
        ),
    ),
    sources=(StoredSources(("app/**",), "app", ("nope",), 0),),
    given=(Given(CORE, 1, 2),),
    durations_ms=((APP, 12.5),),
    install=Install("npm", "npm ci", ("package.json",), "package-lock.json", ("",)),
)
