"""A workspace, a store and a sandbox, for tests of what commands in ``strict`` can do."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from buildnet.mesh.digest import Digest
from buildnet.node.execute.cancel import CancelToken
from buildnet.node.execute.executor import Execution, ExecutionRequest, StagedExecutor
from buildnet.node.execute.isolation import Isolation
from buildnet.node.execute.launcher.client import Launcher, Way
from buildnet.node.execute.limits import ActionLimits
from buildnet.node.execute.mounts import Mount
from buildnet.node.execute.strict import StrictExecutor
from buildnet.node.store.store import Store
from buildnet.pool.tree import DirectoryTree, FileEntry

PATH = "/usr/local/bin:/usr/bin:/bin"


def ways() -> list[Way]:
    """Return the ways to make a sandbox that this host is to have."""
    if sys.platform != "linux":
        return []
    return ["root", "user namespace"] if os.geteuid() == 0 else ["user namespace"]


class StrictHost:
    """Runs commands in the package ``packages/a`` of a workspace."""

    def __init__(
        self, directory: Path, store: Store, launcher: Launcher, *, overlay: bool = True
    ) -> None:
        self.home = directory
        self.store = store
        self.workspace = directory / "workspace"
        self.workspace.mkdir()
        self.launcher = launcher
        isolation = Isolation("strict", None, launcher, overlay=overlay)
        stages = StagedExecutor(directory / "work")
        self.executor = StrictExecutor(stages, isolation, directory)
        self.output: list[bytes] = []

    def write(self, files: Mapping[str, str]) -> DirectoryTree:
        """Write files into the workspace and return them as inputs."""
        for path, content in files.items():
            (self.workspace / path).parent.mkdir(parents=True, exist_ok=True)
            (self.workspace / path).write_text(content)
        return DirectoryTree.from_paths(
            {path: FileEntry(self.store.put(content.encode())) for path, content in files.items()}
        )

    def run(
        self,
        command: str,
        *outputs: str,
        inputs: DirectoryTree | None = None,
        mounts: tuple[Mount, ...] = (),
        limits: ActionLimits | None = None,
        timeout_s: float = 60.0,
        network: bool = False,
        environment: Mapping[str, str] | None = None,
        on_output: Callable[[bytes], None] | None = None,
        cancel: CancelToken | None = None,
        home: Mapping[str, bytes] | None = None,
        shown: Mapping[str, Path] | None = None,
        cache: Path | None = None,
    ) -> Execution:
        """Run a command to its end."""
        request = ExecutionRequest(
            action=Digest.of(command.encode()),
            command=command,
            working_directory="packages/a",
            environment={"PATH": PATH, "LANG": "C", **(environment or {})},
            inputs=inputs or DirectoryTree({}),
            mounts=mounts,
            outputs=outputs,
            timeout_s=timeout_s,
            network=network,
            limits=limits or ActionLimits(),
            workspace=self.workspace,
            home=home or {},
            shown=shown or {},
            cache=cache,
        )
        with self.store.hold() as hold:
            return self.executor.execute(
                request, hold, on_output or self.output.append, cancel or CancelToken()
            )

    def said(self, command: str, **options: object) -> str:
        """Return what a command prints, whether it fails or not."""
        return self.log(self.run(command, **options))  # type: ignore[arg-type]

    def log(self, execution: Execution) -> str:
        return self.store.get(execution.log).decode(errors="replace")

    def contents(self, tree: DirectoryTree | None) -> dict[str, bytes]:
        """Return the files of a tree."""
        assert tree is not None
        return {
            path: self.store.get(leaf.digest)
            for path, leaf in tree.leaves()
            if isinstance(leaf, FileEntry)
        }


@contextmanager
def strict_host(
    directory: Path, launcher: Launcher, *, overlay: bool = True
) -> Iterator[StrictHost]:
    """Give a host that uses a running launcher."""
    with Store.open(directory / "store", 1 << 30) as store:
        yield StrictHost(directory, store, launcher, overlay=overlay)


@contextmanager
def running_launcher(way: Way, directory: Path) -> Iterator[Launcher]:
    """Give a launcher; the test is skipped where the host forbids user namespaces."""
    from buildnet.node.execute.errors import ExecutionError

    launcher = Launcher(way, directory)
    try:
        launcher.start()
    except ExecutionError as error:
        pytest.skip(f"no sandbox by way of {way} here: {error.cause}")
    try:
        yield launcher
    finally:
        launcher.close()
