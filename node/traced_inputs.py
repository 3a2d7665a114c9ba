"""What a command was seen to read, compared with what its task declares."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from buildnet.node.execute.declared import DeclaredOutputs
from buildnet.node.execute.reads.tracer import Reads
from buildnet.pool.action import Action
from buildnet.pool.input_findings import InputFindings, Traced, findings
from buildnet.pool.variable_names import (
    MAX_TEXT_BYTES,
    Mention,
    first_of_each,
    mentions_in,
    mentions_in_command,
)
from buildnet.pool.workspace import Task, Workspace

MOST_TEXTS = 5000
"""Files that are looked through for variables."""
_INSTALLED = "node_modules"


def findings_of(
    reads: Reads,
    task: Task,
    action: Action,
    workspace: Workspace,
    variables: Mapping[str, str],
) -> InputFindings:
    """Return what a task's command read. Blocks: it looks through files.

    ``variables``: those of who asked for the build.
    """
    root = os.path.realpath(workspace.root)
    outputs = DeclaredOutputs(task.outputs)
    makers = [
        (DeclaredOutputs(other.outputs), other.package)
        for package in workspace.packages.values()
        for other in package.tasks.values()
        if other.package != task.package and other.outputs
    ]
    own = [path for path in reads.read if path.startswith(f"{root}/") and not _is_installed(path)]
    command = task.command or ""
    mentions = [*mentions_in_command(command, str(task.id)), *_mentions(root, own)]
    return findings(
        Traced(
            read=[path for path in reads.read if not _is_installed(path)],
            missing=reads.missing,
            root=root,
            inputs=[path for path, _ in action.spec.inputs.leaves()],
            path=task.path,
            is_output=outputs.covers,
            maker_of=lambda path: next((name for made, name in makers if made.covers(path)), None),
            mentions=first_of_each(mentions),
            declared_variables={*task.env, *task.env_inherit, *task.env_paths},
            variables_here=variables.keys(),
            unseen=reads.unseen,
        )
    )


def _is_installed(path: str) -> bool:
    """Whether a file is an installed package's: an action of its own makes those."""
    return f"/{_INSTALLED}/" in path


def _mentions(root: str, paths: list[str]) -> Iterator[Mention]:
    for path in sorted(paths)[:MOST_TEXTS]:
        try:
            with open(path, "rb") as file:
                found = file.read(MAX_TEXT_BYTES + 1)
        except OSError:
            continue  # it was only there while the command ran
        if len(found) <= MAX_TEXT_BYTES and b"\0" not in found[:1024]:
            yield from mentions_in(path[len(root) + 1 :], found.decode(errors="replace"))
