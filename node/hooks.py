"""Hooks of a workspace: commands before and after a build, run in place and never cached.

They run as commands do in ``workspace``: nothing is hidden from them and nothing held back, but all
that they start ends with them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryFile
from uuid import uuid4

from buildnet.mesh.errors import BuildNetError
from buildnet.node.execute.cancel import CancelToken
from buildnet.node.execute.launched import run_launched
from buildnet.node.execute.launcher.client import Launcher, LaunchRequest
from buildnet.node.execute.process import run_process
from buildnet.node.execute.process_tree import ACTION_VARIABLE


class HookError(BuildNetError):
    """A hook's command failed, and the build with it."""

    code = "HOOK_FAILED"


def run_hook(
    name: str,
    command: str,
    root: Path,
    environment: Mapping[str, str],
    *,
    timeout_s: float,
    output_limit_bytes: int,
    output: AbstractContextManager[Callable[[bytes], None]],
    cancel: CancelToken,
    launcher: Launcher | None,
    cores: tuple[int, ...] | None = None,
) -> None:
    """Run the hook ``name`` in the workspace's root with the submitter's environment. Blocks.

    ``launcher``, of the way ``plain``, starts the command, on ``cores`` if they are named; None:
    the node does.

    Raises:
        HookError: it failed, was cancelled or took longer than ``timeout_s``.
    """
    argv = ["/bin/sh", "-c", command]
    marked = {**environment, ACTION_VARIABLE: f"{name}-{uuid4().hex}"}
    with output as on_output, TemporaryFile() as log:
        if launcher is not None:
            outcome = run_launched(
                launcher,
                LaunchRequest(argv, os.path.abspath(root), marked, cores=cores),
                timeout_s=timeout_s,
                on_output=on_output,
                cancel=cancel,
                log=log,
                output_limit_bytes=output_limit_bytes,
            )
        else:
            outcome = run_process(
                argv,
                root,
                marked,
                timeout_s=timeout_s,
                on_output=on_output,
                cancel=cancel,
                log=log,
                output_limit_bytes=output_limit_bytes,
            )
    if not outcome.succeeded:
        how = "took too long" if outcome.timed_out else f"ended with exit code {outcome.exit_code}"
        raise HookError(
            f"the hook {name} {how}: {command}",
            hint=f"correct hooks.{name} in buildnet.yaml, or remove it",
        )
