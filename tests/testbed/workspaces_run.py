"""One random workspace under a real node: edits, builds, and whether each build is right."""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import random
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from buildnet.cli.client import AnswerError, Client, NodeUnreachableError
from buildnet.mesh.errors import BuildNetError
from testbed.forked_nodes import ForkedNode, ForkServer
from testbed.workspaces import Definition, described, hooked, random_definition, read_definition
from testbed.workspaces_disk import apply_to_disk, prepare
from testbed.workspaces_edits import Edit, EditChooser
from testbed.workspaces_model import AmbiguousError, Expected, Files, Model, Snapshot
from testbed.workspaces_outcome import below, damage, difference, directories_below

_SKIPS = frozenset({"instant-skip", "hash-skip"})
_CHANGED_MEANWHILE = frozenset({"SOURCE_CHANGED", "SOURCE", "SOURCES", "OUTPUT", "DELIVERY"})
_PATIENCE_S = 60.0
_STOPS_WITHIN_S = 20.0
_INSTALL = "dependencies#install"
_SYSTEM_PATH = "/usr/bin:/bin"


class WrongError(AssertionError):
    """A build did not come to what a clean build comes to."""


class World:
    """A workspace, a node with a data directory of its own, and what is known of its cache.

    ``done`` is all that was done to it, to be replayed. ``counts`` tells how much, and what was
    built or restored without need (``waste: …``). The workspace is made below ``place``, or else
    beside the node's directory.
    """

    def __init__(
        self, directory: Path, server: ForkServer, seed: int, place: Path | None = None
    ) -> None:
        self.seed = seed
        self.done: list[Edit] = []
        self.counts: Counter[str] = Counter()
        self._directory = directory
        self._server = server
        self._root = (place or directory) / "workspace"
        self._root.mkdir(parents=True)
        self._numbers = random.Random(seed)
        self._races = self._numbers.random() < 0.5
        prepare(self._root, random_definition(self._numbers), self._numbers)
        self._chooser = EditChooser(self._root, self._numbers)
        self._node = self._new_node("home")
        self._inherited: str | None = None
        self._stands: dict[str, str] = {}  # task -> the key whose outputs stand in the workspace
        self._built: set[str] = set()  # keys that were ever built here
        self._cached: set[str] = set()  # those whose results must be in the cache
        self._is_doubtful = False  # a build ran while its inputs changed: it may have cached what
        self._leftovers = False  # after a kill they may be there
        self._held: tuple[int, mmap.mmap | None] | None = None  # a file that is open for writing
        self._racing: str | None = None  # the build that runs while edits are made
        self._definition: Definition = {}
        self._made: dict[str, Files] = {}  # task -> what its last result holds

    def __enter__(self) -> World:
        self._node.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        self._node.kill()

    def _new_node(self, name: str) -> ForkedNode:
        home = self._directory / name
        node = ForkedNode(self._server, home, name, listen="127.0.0.1:0", bare=True)
        tools = self._directory / "tools"
        overrides: dict[str, Any] = {}
        for tool in ("node", "npm"):
            tools.mkdir(parents=True, exist_ok=True)
            (tools / tool).write_text("#!/bin/sh\necho 10.0.0\n")
            (tools / tool).chmod(0o755)
            overrides[tool] = {"path": str(tools / tool)}
        home.mkdir(parents=True)
        node.home.config.write_text(json.dumps({"tool_overrides": overrides}))
        return node

    def run(self, edits: int) -> None:
        """Make so many random edits, with builds in between.

        Raises:
            WrongError: a build was wrong.
        """
        self.act(["build", [], "build", False, []])
        while self.counts["edits"] < edits:
            for _ in range(self._numbers.choice((1, 1, 1, 2, 3, 6))):
                for edit in self._chooser.choose():
                    self.act(edit)
            self.act(self._choose_build())
            if self._is_doubtful and self._numbers.random() < 0.4:
                self.act(["clear"])

    def check_clean(self) -> None:
        """Build a copy without outputs by a node that knows nothing; it must come to the same.

        Raises:
            WrongError: it does not, so that the model is wrong, or what it was compared with.
        """
        _, model = self._state()
        if model is None:
            return
        self._node.stop()
        root = self._root.parent / "clean" / "workspace"
        shutil.copytree(self._root, root, symlinks=True)
        self._root = root
        for path in Snapshot.of(self._root).files:
            if model.owned(path):
                (self._root / path).unlink()
        self._node = self._new_node("clean home")
        self._node.start()
        self._stands, self._made, self._built, self._cached = {}, {}, set(), set()
        self.act(["build", [], "build", False, []])

    def act(self, edit: Edit) -> None:
        """Do one thing, a build included, and note it in ``done``."""
        self.done.append(edit)
        match edit:
            case ["build", *arguments]:
                self._build(*arguments)
            case ["unchecked build"]:
                self._race([], "build", [])
            case _:
                self._apply(edit)

    def _choose_build(self) -> Edit:
        numbers = self._numbers
        definition = read_definition(self._root)
        packages: list[str] = []
        if numbers.random() < 0.15:
            names = [one["name"] for one in definition["packages"]]
            packages = numbers.sample(names, numbers.randint(1, 2))
        task = "build"
        has_check = [one["name"] for one in definition["packages"] if "tasks" in one]
        if has_check and numbers.random() < 0.3:
            task, packages = "check", []
        during: list[Any] = []
        if self._races and numbers.random() < 0.3:
            for _ in range(numbers.randint(1, 4)):
                edits = self._chooser.choose_during_build()
                during += [[numbers.choice((0, 1, 3, 8, 20, 50)), edit] for edit in edits]
        return ["build", packages, task, numbers.random() < 0.02, during]

    # Edits

    def _apply(self, edit: Edit) -> None:
        self.counts["edits"] += 1
        self.counts[f"edit: {edit[0]}"] += 1
        match edit[0]:
            case "variable":
                self._inherited = edit[1]
            case "clear" | "collect" | "blob":
                self._cached.clear()
                self._evict(edit)
            case "kill":
                self._node.kill()
                self._cached.clear()
                self._node.start()
            case "restart":
                began = time.monotonic()
                self._node.stop()
                if time.monotonic() - began > _STOPS_WITHIN_S:
                    self._wrong("the node took too long to stop: its log says what it waited for")
                self._node.start()
            case "cancel":
                with contextlib.suppress(AnswerError, NodeUnreachableError):
                    if self._racing is not None:
                        self._client.post(f"/api/build/{self._racing}/cancel")
            case "wait":
                time.sleep(edit[1] / 1000)
            case "open" | "write open" | "close":
                self._hold(edit)
            case _:
                fits = apply_to_disk(self._root, edit)
                self.counts["edits that did not fit"] += not fits

    def _evict(self, edit: Edit) -> None:
        match edit:
            case ["clear"]:
                self._ask(lambda: self._client.post("/api/cache/clear"))
                self._is_doubtful = self._racing is not None
            case ["collect", share]:
                held = self._ask(lambda: self._client.get("/api/cache/stats"))
                body = {"target_bytes": int(held["bytes"] * share)}
                self._ask(lambda: self._client.post("/api/cache/gc", body))
            case ["blob", how, number]:
                blobs = sorted((self._node.home.directory / "store" / "blobs").glob("*/*"))
                if blobs:
                    with contextlib.suppress(FileNotFoundError):
                        damage(blobs[number % len(blobs)], how)

    def _hold(self, edit: Edit) -> None:
        """Open a file, write to it, or close it, through memory or not."""
        match edit:
            case ["open", path, is_mapped]:
                self._close()
                with contextlib.suppress(OSError, ValueError):
                    file = os.open(self._root / path, os.O_RDWR | os.O_CLOEXEC)
                    self._held = (file, None)
                    if is_mapped:
                        self._held = (file, mmap.mmap(file, 0))
            case ["write open", text] if self._held is not None:
                file, mapped = self._held
                data = text.encode()[: os.fstat(file).st_size]
                if mapped is None:
                    os.pwrite(file, data, 0)
                else:
                    mapped[: len(data)] = data
            case ["close"]:
                self._close()

    def _close(self) -> None:
        if self._held is not None:
            file, mapped = self._held
            if mapped is not None:
                mapped.close()
            os.close(file)
            self._held = None

    def _ask(self, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except NodeUnreachableError:
            return {"bytes": 0}  # it was killed meanwhile

    @property
    def _client(self) -> Client:
        return Client(socket_path=self._node.home.socket_path())

    # Builds

    def _build(self, packages: list[str], task: str, force: bool, during: list[Any]) -> None:
        if during:
            self._race(packages, task, during)
            during = []
        if self._held is not None and self._held[1] is not None:
            self._close()  # what changes through memory is told when it is over
        before, model = self._state()
        if model is None:
            self._check_refused(self._report(self._body([], task, force)))
            return
        known = [name for name in packages if name in model.tasks]
        body = self._body(known, task, force)
        if not any(
            one.partition("#")[2] == (task if task != "build" else "") for one in model.tasks
        ):
            return  # the task went with an edit
        ids = model.closure(known, task)
        try:
            expected = model.expect(ids)
        except AmbiguousError as error:
            self.act(["delete", error.path])
            self._build(packages, task, force, [])
            return
        self.counts["builds"] += 1
        report = self._report(body)
        if "packages" not in report:
            self._wrong(f"refused: {report}")
        after = Snapshot.of(self._root)
        self._check(model, expected, report, before, after, force)

    def _body(self, packages: list[str], task: str, force: bool) -> dict[str, Any]:
        environment = {"PATH": _SYSTEM_PATH}
        if self._inherited is not None:
            environment["INHERITED"] = self._inherited
        return {
            "root": str(self._root),
            "packages": packages,
            "task": task,
            "force": force,
            "keep_going": True,
            "environment": environment,
        }

    def _state(self) -> tuple[Snapshot, Model | None]:
        """Return what a build begins with; None: it has to be refused."""
        while True:
            snapshot = Snapshot.of(self._root)
            try:
                self._definition = described(self._root)
            except BuildNetError:
                return snapshot, None
            try:
                last = hooked(self._definition, "post_build", self._inherited)
                if last is not None:
                    snapshot.with_file(*last)  # something may be in its way
                first = hooked(self._definition, "pre_build", self._inherited)
                if first is not None:
                    snapshot = snapshot.with_file(*first)
                return snapshot, Model(self._root, self._definition, snapshot, self._inherited)
            except AmbiguousError as error:
                self.act(["delete", error.path])

    def _report(
        self, body: dict[str, Any], began: Callable[[str], None] = lambda id: None
    ) -> dict[str, Any]:
        """Return the build's report, or the error with which it was refused."""
        try:
            with self._client.stream("/api/build", body) as events:
                for event in events:
                    if event["type"] == "build_started":
                        began(event["build_id"])
                    if event["type"] == "build_finished":
                        report: dict[str, Any] = event["report"]
                        return report
        except AnswerError as error:
            return {"code": error.code, "message": error.message}
        return {"code": "GONE"}

    def _check_refused(self, report: dict[str, Any]) -> None:
        self.counts["builds that are refused"] += 1
        if report.get("code") not in {"WORKSPACE", "CYCLE"}:
            self._wrong(f"it was not refused: {str(report)[:500]}")

    def _race(self, packages: list[str], task: str, during: list[Any]) -> None:
        """Build while edits are made; what comes of it is nobody's promise, but the node holds."""
        body = self._body(packages, task, False)
        ends: list[dict[str, Any]] = []

        def build() -> None:
            try:
                ends.append(self._report(body, began))
            except NodeUnreachableError:
                ends.append({"code": "GONE"})

        def began(id: str) -> None:
            self._racing = id

        thread = threading.Thread(target=build)
        thread.start()
        for delay_ms, edit in during:
            time.sleep(delay_ms / 1000)
            self._apply(edit)
        thread.join(_PATIENCE_S)
        if not ends:
            self._wrong("a build during which files were edited does not end")
        self._racing, self._is_doubtful = None, True
        self._stands.clear()
        self._made.clear()
        self.counts[f"builds during edits: {ends[0].get('status', 'refused or gone')}"] += 1
        self.counts["builds during edits"] += 1
        self._leftovers = True
        for package in ends[0].get("packages", []):
            if package["error"] is not None:
                self.counts[f"during edits: {package['error']['code']}"] += 1
                if package["error"]["code"] == "UNEXPECTED":
                    self._wrong(f"during edits: {package['error']}")

    # Checks

    def _check(
        self,
        model: Model,
        expected: dict[str, Expected],
        report: dict[str, Any],
        before: Snapshot,
        after: Snapshot,
        force: bool,
    ) -> None:
        told = {
            one["name"] if one["task"] == "build" else f"{one['name']}#{one['task']}": one
            for one in report["packages"]
        }
        if told.pop(_INSTALL, {"status": "succeeded"})["status"] != "succeeded":
            self._wrong("the dependencies could not be installed")
        if told.keys() != expected.keys():
            self._wrong(f"reported were {sorted(told)}, not {sorted(expected)}")
        for id, wanted in expected.items():
            status = told[id]["status"]
            self.counts[f"tasks {status}"] += 1
            if status != wanted.status:
                why = told[id]["error"] or wanted.why
                self._wrong(f"{id} {status} and not {wanted.status}: {why}")
        for id, wanted in expected.items():
            if wanted.status == "succeeded":
                self._check_outputs(id, wanted, told[id]["tier"], before, after)
        self._check_rest(model, before, after)
        for id, wanted in expected.items():
            if told[id]["tier"] == "full" and wanted.key:  # two tasks may have one action
                self._built.add(f"{wanted.key} {told[id]['isolation']}")
        for id, wanted in expected.items():
            if wanted.status == "succeeded" and wanted.key:
                self._check_tier(id, wanted, told[id], before, force)
        if after.leftovers and not self._leftovers:
            self._wrong(f"left behind: {after.leftovers}")

    def _check_outputs(
        self, id: str, wanted: Expected, tier: str, before: Snapshot, after: Snapshot
    ) -> None:
        there = below(after.files, wanted.outputs)
        for path, entry in wanted.files.items():
            if there.get(path) != entry:
                self._wrong(f"{id} ({tier}): {path}: {difference(there.get(path), entry)}")
        whole = tuple(one for one in wanted.outputs if "/*." not in one)
        extra = below(there, whole).keys() - wanted.files.keys()
        if extra:
            self._wrong(f"{id} ({tier}): {sorted(extra)} should be gone")
        differing = directories_below(after, whole) ^ wanted.directories
        if differing:
            self._wrong(f"{id} ({tier}): directories differ: {sorted(differing)}")
        self._check_stale(id, wanted, there, before)

    def _check_stale(self, id: str, wanted: Expected, there: Files, before: Snapshot) -> None:
        """See that those of a pattern's files are gone that only the run before made."""
        for path in there.keys() - wanted.files.keys():
            made = self._made.get(id, {}).get(path)
            if made is not None and made == there[path]:
                self._wrong(f"{id}: {path} is of an earlier run and should be gone")
        self._made[id] = wanted.files

    def _check_rest(self, model: Model, before: Snapshot, after: Snapshot) -> None:
        written = hooked(self._definition, "post_build", self._inherited)
        for path in before.files.keys() | after.files.keys():
            if model.owned(path) or (written and f"{path}/".startswith(f"{written[0]}/")):
                continue
            if before.files.get(path) != after.files.get(path):
                self._wrong(f"a build changed {path}, which is no output")

    def _check_tier(
        self, id: str, wanted: Expected, told: dict[str, Any], before: Snapshot, force: bool
    ) -> None:
        tier, key = told["tier"], f"{wanted.key} {told['isolation']}"
        self.counts[tier] += 1
        self.counts[f"tasks in {told['isolation']}"] += 1
        is_known = not self._is_doubtful and (tier not in _SKIPS or id in self._stands)
        if tier != "full" and key not in self._built and is_known:
            self._wrong(f"{id} took {tier}, but its action never ran: a stale hit")
        stood = (
            self._stands.get(id) == key
            and below(before.files, wanted.outputs) == wanted.files
            and directories_below(before, wanted.outputs) == wanted.directories
        )
        if not force and not self._is_doubtful:
            if stood and tier not in _SKIPS:
                self._waste(f"{tier} though nothing had changed", id, told)
            elif tier == "full" and key in self._cached:
                self._waste("full though the result was in the cache", id, told)
        self._stands[id] = key
        self._built.add(key)
        if tier not in _SKIPS:  # what stands in the workspace tells nothing of the cache
            self._cached.add(key)

    def _waste(self, what: str, id: str, told: dict[str, Any]) -> None:
        self.counts[f"waste: {what}"] += 1
        self.counts[f"waste: {what}: {'; '.join(told['reasons'])[:60]}"] += 1

    def _wrong(self, text: str) -> None:
        raise WrongError(f"seed {self.seed}, after {len(self.done)} steps: {text}")


def replay(
    directory: Path, server: ForkServer, seed: int, done: list[Edit], place: Path | None = None
) -> str | None:
    """Do the same things to the same workspace; return what was wrong."""
    for left in (directory, place):
        if left is not None:
            shutil.rmtree(left, ignore_errors=True)
    with World(directory, server, seed, place) as world:
        try:
            for edit in done:
                world.act(edit)
        except WrongError as error:
            return str(error)
    return None


def shortest(fails: Callable[[list[Edit]], bool], done: list[Edit], deadline: float) -> list[Edit]:
    """Return a part of ``done`` that still fails: whole stretches are left out, then single edits,
    until nothing more can be, or the monotonic clock reaches ``deadline``."""
    size = max(1, len(done) // 2)
    while True:
        at, left_out = 0, False
        while at < len(done):
            if time.monotonic() > deadline:
                return done
            shorter = done[:at] + done[at + size :]
            if shorter and fails(shorter):
                done, left_out = shorter, True
            else:
                at += size
        if size == 1 and not left_out:
            return done
        size = max(1, size // 2)
