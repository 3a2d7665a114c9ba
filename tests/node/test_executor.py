"""Actions run in a stage or in place: what they see, and what comes back."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from buildnet.mesh.digest import Digest
from buildnet.node.execute.cancel import CancelToken
from buildnet.node.execute.errors import OutputError, StageError
from buildnet.node.execute.executor import (
    TRASH_FOLDER,
    Execution,
    ExecutionRequest,
    Executor,
    StagedExecutor,
    WorkspaceExecutor,
)
from buildnet.node.execute.launcher.client import Launcher
from buildnet.node.execute.mounts import Mount
from buildnet.node.execute.removal import remove_tree
from buildnet.node.execute.trees import UnpackedTrees
from buildnet.node.store.errors import MissingBlobError
from buildnet.node.store.store import Store
from buildnet.pool.tree import DirectoryTree, FileEntry

LINUX = sys.platform == "linux"
PATH = "/usr/local/bin:/usr/bin:/bin"


class Host:
    """A workspace, a store and an executor."""

    def __init__(self, directory: Path, store: Store, launcher: Launcher | None) -> None:
        self.launcher = launcher
        self.store = store
        self.work = directory / "work"
        self.workspace = directory / "workspace"
        self.workspace.mkdir()
        self.executor: Executor = StagedExecutor(self.work, launcher)
        self.output: list[bytes] = []

    def write(self, files: Mapping[str, str]) -> DirectoryTree:
        """Write files into the workspace and return them as inputs."""
        for path, content in files.items():
            (self.workspace / path).parent.mkdir(parents=True, exist_ok=True)
            (self.workspace / path).write_text(content)
        return DirectoryTree.from_paths(
            {path: FileEntry(self.store.put(content.encode())) for path, content in files.items()}
        )

    def request(
        self, command: str, inputs: DirectoryTree | None = None, *outputs: str
    ) -> ExecutionRequest:
        return ExecutionRequest(
            action=Digest.of(command.encode()),
            command=command,
            working_directory="packages/a",
            environment={"PATH": PATH, "LANG": "C"},
            inputs=inputs or DirectoryTree({}),
            mounts=(),
            outputs=outputs,
            timeout_s=None,
            workspace=self.workspace,
        )

    def run(
        self,
        request: ExecutionRequest,
        on_output: Callable[[bytes], None] | None = None,
        cancel: CancelToken | None = None,
    ) -> Execution:
        with self.store.hold() as hold:
            return self.executor.execute(
                request, hold, on_output or self.output.append, cancel or CancelToken()
            )


@pytest.fixture(scope="module", params=["launcher", "none"] if LINUX else ["none"])
def launcher(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Launcher | None]:
    if request.param == "none":
        yield None
        return
    launcher = Launcher("plain", tmp_path_factory.mktemp("launcher"))
    yield launcher
    launcher.close()


@pytest.fixture
def host(tmp_path: Path, launcher: Launcher | None) -> Iterator[Host]:
    with Store.open(tmp_path / "store", 1 << 30) as store:
        yield Host(tmp_path, store, launcher)


def contents(host: Host, tree: DirectoryTree | None) -> dict[str, bytes]:
    assert tree is not None
    return {
        path: host.store.get(leaf.digest)
        for path, leaf in tree.leaves()
        if isinstance(leaf, FileEntry)
    }


def test_an_action_reads_its_inputs_and_leaves_its_outputs(host: Host) -> None:
    inputs = host.write({"packages/a/src/1.js": "one\n", "packages/a/src/2.js": "two\n"})
    command = "mkdir -p dist && cat src/*.js > dist/index.js && echo done && echo warned >&2"
    execution = host.run(host.request(command, inputs, "packages/a/dist"))
    assert execution.outcome.succeeded
    assert contents(host, execution.outputs) == {"packages/a/dist/index.js": b"one\ntwo\n"}
    assert host.store.get(execution.log) == b"done\nwarned\n" == b"".join(host.output)
    assert execution.missing_outputs == execution.undeclared == execution.hints == ()
    assert not (host.workspace / "packages/a/dist").exists()
    assert [path.name for path in host.work.iterdir()] == [TRASH_FOLDER]


def test_what_a_command_prints_lies_in_no_file_of_its_stage(host: Host) -> None:
    execution = host.run(host.request("echo $(ls ../../..)"))
    assert host.store.get(execution.log) == b"home root tmp\n"


def test_the_environment_is_the_declared_one_and_a_private_home(host: Host) -> None:
    execution = host.run(host.request("touch $HOME/x $TMPDIR/y; env | sort"))
    variables = dict(
        line.split("=", 1) for line in host.store.get(execution.log).decode().splitlines()
    )
    action = Digest.of(b"touch $HOME/x $TMPDIR/y; env | sort").hash
    stage = host.work / action[:16]
    assert (
        variables.items()
        >= {
            "PATH": PATH,
            "LANG": "C",
            "HOME": f"{stage}/home",
            "TMPDIR": f"{stage}/tmp",
            "BUILDNET_ACTION": action,
            "TZ": "UTC",
        }.items()
    )
    assert variables.keys() <= {
        "PATH",
        "LANG",
        "HOME",
        "TMPDIR",
        "BUILDNET_ACTION",
        "TZ",
        "PWD",
        "_",
        "SHLVL",
        "OLDPWD",
    }


@pytest.mark.parametrize("is_in_place", [False, True])
def test_a_shard_may_say_that_it_is_one(host: Host, is_in_place: bool) -> None:
    if is_in_place:
        host.executor = WorkspaceExecutor(host.workspace, host.work, host.launcher)
    command = 'echo "${TEST_SHARD_STATUS_FILE:-none}" && test ! -e "$TEST_SHARD_STATUS_FILE"'
    execution = host.run(host.request(command))
    assert host.store.get(execution.log) == b"none\n"
    command = 'touch "$TEST_SHARD_STATUS_FILE" && ls -A "$TMPDIR"'
    request = host.request(command)
    shard = {**request.environment, "TEST_TOTAL_SHARDS": "2"}
    execution = host.run(replace(request, environment=shard))
    assert b"test-shard-status\n" in host.store.get(execution.log)
    assert execution.undeclared == ()


def test_the_same_action_repeats_byte_for_byte(host: Host) -> None:
    request = host.request("pwd > where; env | sort >> where", None, "packages/a/where")
    first, second = host.run(request), host.run(request)
    assert first.outputs is not None
    assert second.outputs is not None
    assert first.outputs.digest == second.outputs.digest


def test_a_failure_has_its_log_and_no_outputs(host: Host) -> None:
    execution = host.run(host.request("touch out; echo broken; exit 3", None, "packages/a/out"))
    assert execution.outcome.exit_code == 3
    assert execution.outputs is None
    assert host.store.get(execution.log) == b"broken\n"
    assert [path.name for path in host.work.iterdir()] == [TRASH_FOLDER]


def test_a_failure_whose_reports_are_too_large_says_so(host: Host) -> None:
    request = host.request("truncate -s 100M out.xml; exit 1", None, "packages/a/out.xml")
    execution = host.run(replace(request, reports=("packages/a/*.xml",)))
    assert (execution.outcome.exit_code, execution.reports) == (1, None)
    assert execution.hints == (
        "its test reports were not read: the outputs are more than one action may leave: "
        "256 files, 64 MiB (holes in files count)",
    )
    small = host.request("echo x > out.xml; exit 1", None, "packages/a/out.xml")
    execution = host.run(replace(small, reports=("packages/a/*.xml",)))
    assert contents(host, execution.reports) == {"packages/a/out.xml": b"x\n"}
    assert execution.hints == ()


def test_missing_outputs_are_told_with_what_was_written_instead(host: Host) -> None:
    request = host.request("mkdir build; touch build/x", None, "packages/a/dist", "packages/a/l")
    execution = host.run(request)
    assert execution.outcome.succeeded
    assert execution.outputs is None
    assert execution.missing_outputs == ("packages/a/dist", "packages/a/l")
    assert execution.undeclared == ("packages/a/build/x",)
    (hint,) = execution.hints
    assert hint.startswith("it wrote packages/a/build/x, which no output covers")


def test_a_hint_names_some_of_what_is_not_kept(host: Host) -> None:
    execution = host.run(host.request("mkdir dist; touch dist/x 1 2 3 4", None, "packages/a/dist"))
    assert execution.outputs is not None
    (hint,) = execution.hints
    assert "packages/a/1, packages/a/2, packages/a/3 and others, which no" in hint


def test_inputs_that_a_command_altered_are_told(host: Host) -> None:
    inputs = host.write({"packages/a/x": "x", "packages/a/y": "y"})
    execution = host.run(host.request("echo more >> x", inputs))
    assert execution.undeclared == ("packages/a/x",)
    assert host.store.get(Digest.of(b"x")) == b"x"


def test_a_copy_that_keeps_the_date_of_an_input_is_new(host: Host) -> None:
    inputs = host.write({"packages/a/x.js": "x"})
    execution = host.run(
        host.request("cp -p x.js y.js; cp -p x.js z.md", inputs, "packages/a/*.js")
    )
    assert contents(host, execution.outputs) == {"packages/a/y.js": b"x"}
    assert execution.undeclared == ("packages/a/z.md",)


def test_unusable_outputs_and_lost_inputs_leave_no_stage(host: Host) -> None:
    with pytest.raises(OutputError):
        host.run(host.request("mkfifo out", None, "packages/a/out"))
    lost = DirectoryTree({"x": FileEntry(Digest.of(b"never stored"))})
    with pytest.raises(MissingBlobError):
        host.run(host.request("true", lost))
    assert [path.name for path in host.work.iterdir()] == [TRASH_FOLDER]


def test_an_output_that_is_too_deep_is_told_shortly(host: Host) -> None:
    down = "import os; [(os.mkdir('deep'), os.chdir('deep')) for _ in range(1500)]"
    command = f'mkdir out; cd out; python3 -c "{down}"'
    with pytest.raises(OutputError, match="longer than the system takes") as caught:
        host.run(host.request(command, None, "packages/a/out"))
    assert len(str(caught.value)) < 200
    assert [path.name for path in host.work.iterdir()] == [TRASH_FOLDER]
    remove_tree(host.work)  # pytest could not


def test_timeout_and_cancel(host: Host) -> None:
    late = host.run(replace(host.request("sleep 1000"), timeout_s=0.1))
    assert late.outcome.timed_out
    cancel = CancelToken()
    stopped = host.run(
        host.request("echo up; sleep 1000"), on_output=lambda _: cancel.set(), cancel=cancel
    )
    assert stopped.outcome.cancelled
    assert stopped.outputs is None
    assert [path.name for path in host.work.iterdir()] == [TRASH_FOLDER]


def test_the_log_is_bounded(host: Host) -> None:
    request = replace(host.request("head -c 1000000 /dev/zero"), output_limit_bytes=1000)
    execution = host.run(request)
    assert execution.outcome.output_truncated_bytes == 999_000
    assert execution.log.size_bytes < 1100


def test_one_action_twice_at_once_runs_in_turn(host: Host, tmp_path: Path) -> None:
    """Both would use the same directory: together one would see the other's lock directory."""
    request = host.request("mkdir alone && sleep 0.05 && rmdir alone")
    with ThreadPoolExecutor(4) as pool:
        executions = list(pool.map(lambda _: host.run(request), range(4)))
    assert [execution.outcome.exit_code for execution in executions] == [0, 0, 0, 0]


def test_different_actions_run_at_once(host: Host, tmp_path: Path) -> None:
    """Each waits for the other's word."""
    gates = [tmp_path / "first", tmp_path / "second"]
    for gate in gates:
        os.mkfifo(gate)
    commands = [f"echo go > {gates[0]}; cat {gates[1]}", f"cat {gates[0]}; echo go > {gates[1]}"]
    with ThreadPoolExecutor(2) as pool:
        executions = pool.map(lambda command: host.run(host.request(command)), commands)
        assert all(execution.outcome.succeeded for execution in executions)


def test_what_a_command_left_can_be_taken_over(host: Host) -> None:
    taken: list[str] = []

    def take(root: Path) -> None:
        taken.append((root / "packages/a/out").read_text())

    request = host.request("echo x > out", None, "packages/a/out")
    host.run(replace(request, on_collected=take))
    host.run(replace(host.request("false"), on_collected=take))
    assert taken == ["x\n"]


def test_stages_of_a_killed_node_are_removed(tmp_path: Path) -> None:
    (tmp_path / "work" / "0123456789abcdef" / "root").mkdir(parents=True)
    StagedExecutor(tmp_path / "work")
    assert [path.name for path in (tmp_path / "work").iterdir()] == [TRASH_FOLDER]


@pytest.mark.skipif(not shutil.which("npm"), reason="needs npm")
def test_an_install_is_an_action_whose_tree_others_mount(host: Host, tmp_path: Path) -> None:
    """The second action sees the first one's packages and its own copy of the workspace's."""
    manifests = host.write(
        {
            "package.json": '{"name": "root", "private": true, "workspaces": ["packages/*"]}',
            "packages/a/package.json": (
                '{"name": "a", "dependencies": {"b": "*", "is-number": "7"}}'
            ),
            "packages/b/package.json": '{"name": "b", "version": "1.0.0"}',
        }
    )
    path = f"{Path(shutil.which('node') or '').parent}:{PATH}"
    trees = UnpackedTrees(tmp_path / "trees")
    key = Digest.of(b"install")
    places: list[Path] = []
    install = replace(
        host.request(
            "npm install --no-audit --no-fund --fetch-retries=0", manifests, "node_modules"
        ),
        working_directory="",
        environment={"PATH": path},
        on_collected=lambda root: places.append(trees.adopt(key, root, ["node_modules"])),
    )
    installed = host.run(install)
    if not installed.outcome.succeeded:
        pytest.skip(f"npm install does not work here: {host.store.get(installed.log)[-300:]!r}")
    assert installed.outputs is not None
    sources = host.write(
        {
            "packages/a/index.js": "console.log(require('b'), require('is-number')(5))",
            "packages/b/index.js": "module.exports = 'own copy'",
        }
    )
    unpacked = trees.ensure(key, installed.outputs, host.store)
    assert unpacked == places[0]
    elsewhere = UnpackedTrees(tmp_path / "other").ensure(key, installed.outputs, host.store)
    for place in (unpacked, elsewhere):
        run = replace(
            host.request("node index.js", manifests.merged(sources)),
            environment={"PATH": path},
            mounts=(Mount("node_modules", place / "node_modules"),),
        )
        execution = host.run(run)
        assert host.store.get(execution.log) == b"own copy true\n"
        assert execution.undeclared == ()


# In place


@pytest.fixture
def in_place(host: Host) -> Host:
    host.executor = WorkspaceExecutor(host.workspace, host.work, host.launcher)
    return host


def test_an_action_runs_in_the_workspace(in_place: Host) -> None:
    inputs = in_place.write({"packages/a/x.txt": "x"})
    in_place.write({"packages/a/earlier.out": "earlier"})
    request = in_place.request(
        "cp x.txt dist/y; cp x.txt new.out; touch $HOME/h $TMPDIR/t",
        inputs,
        "packages/a/dist/y",
        "packages/a/*.out",
    )
    execution = in_place.run(request)
    assert contents(in_place, execution.outputs) == {
        "packages/a/dist/y": b"x",
        "packages/a/new.out": b"x",
    }
    assert not execution.input_changed
    assert (in_place.workspace / "packages/a/dist/y").exists()
    assert in_place.executor.isolation == "workspace"


def test_private_directories_lie_below_work_and_go(in_place: Host) -> None:
    execution = in_place.run(in_place.request("echo $HOME; echo $TMPDIR"))
    home, temporary = map(Path, in_place.store.get(execution.log).decode().split())
    assert in_place.work in home.parents
    assert in_place.work in temporary.parents
    assert [path.name for path in in_place.work.iterdir()] == [TRASH_FOLDER]


@pytest.mark.parametrize("output", ["packages/a/in-the-way/out", "packages/a/out"])
def test_directories_that_cannot_be_made_are_told(in_place: Host, output: str) -> None:
    in_place.write({"packages/a/in-the-way" if "way" in output else "packages/a": "a file"})
    with pytest.raises(StageError) as raised:
        in_place.run(in_place.request("true", None, output))
    assert "can't be made in the workspace" in raised.value.message
    assert raised.value.hint


@pytest.mark.parametrize("change", ["echo more >> x.txt", "rm x.txt", "chmod +x x.txt"])
def test_a_source_that_changes_meanwhile_is_told(in_place: Host, change: str) -> None:
    inputs = in_place.write({"packages/a/x.txt": "x"})
    assert in_place.run(in_place.request(change, inputs)).input_changed


def test_a_source_that_loses_another_name_meanwhile_has_not_changed(in_place: Host) -> None:
    inputs = in_place.write({"packages/a/x.txt": "x"})
    os.link(in_place.workspace / "packages/a/x.txt", in_place.workspace / "packages/a/y.txt")
    assert not in_place.run(in_place.request("rm y.txt", inputs)).input_changed


# Hints


def test_a_command_that_is_missing_is_named(host: Host) -> None:
    execution = host.run(host.request("no-such-tool --flag"))
    assert execution.outcome.exit_code == 127
    assert execution.hints == (
        "command not found: no-such-tool: install it on this host, or add the package that "
        "provides it to dependencies",
    )


@pytest.mark.parametrize(
    ("command", "missing"),
    [
        ("cat data/x.csv", "packages/a/data/x.csv"),
        ("cat ../b/y.txt", "packages/b/y.txt"),
        ("cat ./Makefile.in", "packages/a/Makefile.in"),
        ("cat $(cd ../.. && pwd)/packages/b/y.txt", "packages/b/y.txt"),
        ("sh -c '. ./helper.sh'", "packages/a/helper.sh"),
    ],
)
def test_files_that_only_the_workspace_has_are_named(
    host: Host, command: str, missing: str
) -> None:
    host.write({missing: "here"})
    execution = host.run(host.request(command))
    assert execution.hints == (
        f"{missing} exists in the workspace but is not an input of this package: add it to "
        "sources, or add the package that owns it to dependencies",
    )
