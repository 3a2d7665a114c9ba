"""Which blob is the output of a task of a build, or of one of its shards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import NotFoundError
from buildnet.node.api.blob_text import digest_of


def log_of(
    packages: Iterable[Mapping[str, Any]], build_id: str, package: str, task: str
) -> tuple[Digest, str]:
    """Return the output of a task among the entries of a build's report, and the id of the node
    that it ran on; ``test 2/3`` is the second shard of ``test``.

    Raises:
        NotFoundError: it has none.
    """
    whole, _, number = task.partition(" ")
    for entry in packages:
        if (entry["name"], entry["task"]) != (package, whole):
            continue
        shards = entry.get("shards") or ()
        mine = entry if not number else next((one for one in shards if one["shard"] == number), {})
        digest = digest_of(mine.get("log") or "")
        if digest is not None:
            return digest, str(mine.get("node") or "")
        if shards and not number:
            raise NotFoundError(
                f"{package}#{task} ran in {len(shards)} shards, each with an output of its own",
                hint=f"buildnet history {build_id} --log '{package}#{task} {shards[0]['shard']}'",
            )
    raise NotFoundError(
        f"build {build_id} has no output of {package}#{task}",
        hint="only tasks that ran or came from the cache have one: buildnet history BUILD-ID",
    )
