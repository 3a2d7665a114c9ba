"""Hooks of a workspace: commands before and after a build, run in place and never cached."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryFile

from buildnet.mesh.errors import BuildNetError
from buildnet.node.execute.cancel import CancelToken
from buildnet.node.execute.process import run_process


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
    on_output: Callable[[bytes], None],
    cancel: CancelToken,
) -> None:
    """Run the hook ``name`` in the workspace's root with the submitter's environment. Blocks.

    Raises:
        HookError: it failed, was cancelled or took longer than ``timeout_s``.
    """
    with TemporaryFile() as log:
        outcome = run_process(
            ["/bin/sh", "-c", command],
            root,
            environment,
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
