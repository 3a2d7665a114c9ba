"""One random workspace under a real node: edits, builds, and whether each build is right."""

from __future__ import annotations

import contextlib
import difflib
import random
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from buildnet.cli.client import AnswerError, Client, NodeUnreachableError
from testbed.forked_nodes import ForkedNode, ForkServer
from testbed.workspaces import random_definition, read_definition
from testbed.workspaces_edits import Edit, EditChooser, apply_to_disk, prepare
from testbed.workspaces_model import AmbiguousError, Entry, Expected, Files, Model, Snapshot

_SKIPS = frozenset({"instant-skip", "hash-skip"})
_CHANGED_MEANWHILE = frozenset({"SOURCE_CHANGED", "SOURCE", "SOURCES", "OUTPUT", "DELIVERY"})
_PATIENCE_S = 60.0


class WrongError(AssertionError):
    """A build did not come to what a clean build comes to."""


class World:
    """A workspace, a node with a data directory of its own, and what is known of its cache.

    ``done`` is all that was done to it, to be replayed. ``counts`` tells how much, and what was
    built or restored without need (``waste: …``).
    """

    def __init__(self, directory: Path, server: ForkServer, seed: int) -> None:
        self.seed = seed
        self.done: list[Edit] = []
        self.counts: Counter[str] = Counter()
        self._directory = directory
        self._server = server
        self._root = directory / "workspace"
        self._root.mkdir(parents=True)
        self._numbers = random.Random(seed)
        self._races = self._numbers.random() < 0.5
        prepare(self._root, random_definition(self._numbers), self._numbers)
        self._chooser = EditChooser(self._root, self._numbers)
        self._node = ForkedNode(
            server, directory / "home", "random", listen="127.0.0.1:0", bare=True
        )
        self._inherited: str | None = None
        self._stands: dict[str, str] = {}  # task -> the key whose outputs stand in the workspace
        self._built: set[str] = set()  # keys that were ever built here
        self._cached: set[str] = set()  # those whose results must be in the cache
        self._is_sure = True  # False: a build ran while its inputs changed, or was killed
        self._leftovers = False  # after a kill they may be there
        self._made: dict[str, Files] = {}  # task -> what its last result holds

    def __enter__(self) -> World:
        self._node.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._node.kill()

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

    def check_clean(self) -> None:
        """Build a copy without outputs by a node that knows nothing; it must come to the same.

        Raises:
            WrongError: it does not, so that the model is wrong, or what it was compared with.
        """
        _, model = self._state()
        if model.missing:
            return
        self._node.stop()
        directory = self._directory / "clean"
        shutil.copytree(self._directory / "workspace", directory / "workspace", symlinks=True)
        self._root = directory / "workspace"
        for path in Snapshot.of(self._root).files:
            if model.owned(path):
                (self._root / path).unlink()
        self._node = ForkedNode(
            self._server, directory / "home", "clean", listen="127.0.0.1:0", bare=True
        )
        self._node.start()
        self._stands, self._made, self._built, self._cached = {}, {}, set(), set()
        self.act(["build", [], "build", False, []])

    def act(self, edit: Edit) -> None:
        """Do one thing, a build included, and note it in ``done``."""
        self.done.append(edit)
        if edit[0] == "build":
            self._build(*edit[1:])
        else:
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
        if self._races and numbers.random() < 0.15:
            for _ in range(numbers.randint(1, 4)):
                edits = self._chooser.choose()
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
                self._is_sure = False
                self._node.start()
            case "restart":
                self._node.stop()
                self._node.start()
            case _:
                fits = apply_to_disk(self._root, edit)
                self.counts["edits that did not fit"] += not fits

    def _evict(self, edit: Edit) -> None:
        match edit:
            case ["clear"]:
                self._ask(lambda: self._client.post("/api/cache/clear"))
            case ["collect", share]:
                held = self._ask(lambda: self._client.get("/api/cache/stats"))
                body = {"target_bytes": int(held["bytes"] * share)}
                self._ask(lambda: self._client.post("/api/cache/gc", body))
            case ["blob", how, number]:
                blobs = sorted((self._node.home.directory / "store" / "blobs").glob("*/*"))
                if blobs:
                    with contextlib.suppress(FileNotFoundError):
                        _damage(blobs[number % len(blobs)], how)

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
        before, model = self._state()
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
        if model.missing:
            told = "told" if report.get("code") == "WORKSPACE" else "not told"
            self._is_sure = self._is_sure and told == "told"
            self.counts[f"builds without the directory of a package: {told}"] += 1
            return
        if "packages" not in report:
            self._wrong(f"refused: {report}")
        after = Snapshot.of(self._root)
        self._check(model, expected, report, before, after, force)

    def _body(self, packages: list[str], task: str, force: bool) -> dict[str, Any]:
        environment = {} if self._inherited is None else {"INHERITED": self._inherited}
        return {
            "root": str(self._root),
            "packages": packages,
            "task": task,
            "force": force,
            "keep_going": True,
            "environment": environment,
        }

    def _state(self) -> tuple[Snapshot, Model]:
        while True:
            snapshot = Snapshot.of(self._root)
            try:
                definition = read_definition(self._root)
                return snapshot, Model(self._root, definition, snapshot, self._inherited)
            except AmbiguousError as error:
                self.act(["delete", error.path])

    def _report(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the build's report, or the error with which it was refused."""
        try:
            with self._client.stream("/api/build", body) as events:
                for event in events:
                    if event["type"] == "build_finished":
                        report: dict[str, Any] = event["report"]
                        return report
        except AnswerError as error:
            return {"code": error.code, "message": error.message}
        return {"code": "GONE"}

    def _race(self, packages: list[str], task: str, during: list[Any]) -> None:
        """Build while edits are made; what comes of it is nobody's promise, but the node holds."""
        self._is_sure = False
        body = self._body(packages, task, False)
        ends: list[dict[str, Any]] = []

        def build() -> None:
            try:
                ends.append(self._report(body))
            except NodeUnreachableError:
                ends.append({"code": "GONE"})

        thread = threading.Thread(target=build)
        thread.start()
        for delay_ms, edit in during:
            time.sleep(delay_ms / 1000)
            self._apply(edit)
        thread.join(_PATIENCE_S)
        if not ends:
            self._wrong("a build during which files were edited does not end")
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
            if wanted.status == "succeeded" and wanted.key:
                self._check_tier(id, wanted, told[id], before, force)
        if after.leftovers and not self._leftovers:
            self._wrong(f"left behind: {after.leftovers}")

    def _check_outputs(
        self, id: str, wanted: Expected, tier: str, before: Snapshot, after: Snapshot
    ) -> None:
        there = _below(after.files, wanted.outputs)
        for path, entry in wanted.files.items():
            if there.get(path) != entry:
                self._wrong(f"{id} ({tier}): {path}: {_difference(there.get(path), entry)}")
        whole = tuple(one for one in wanted.outputs if "/*." not in one)
        extra = _below(there, whole).keys() - wanted.files.keys()
        if extra:
            self._wrong(f"{id} ({tier}): {sorted(extra)} should be gone")
        differing = _directories(after, whole) ^ wanted.directories
        if differing:
            self._wrong(f"{id} ({tier}): directories differ: {sorted(differing)}")
        self._check_stale(id, wanted, there, before)

    def _check_stale(self, id: str, wanted: Expected, there: Files, before: Snapshot) -> None:
        """See that of a pattern's files those are gone that the run before made and this did not:
        the node knows them as long as it has that run's result."""
        for path in there.keys() - wanted.files.keys():
            made = self._made.get(id, {}).get(path)
            if made is not None and made == there[path] and self._is_sure:
                if self._stands[id] in self._cached:
                    self._wrong(f"{id}: {path} is of an earlier run and should be gone")
                self.counts["stale files of patterns left after an eviction"] += 1
        self._made[id] = wanted.files

    def _check_rest(self, model: Model, before: Snapshot, after: Snapshot) -> None:
        for path in before.files.keys() | after.files.keys():
            if model.owned(path):
                continue
            if before.files.get(path) != after.files.get(path):
                self._wrong(f"a build changed {path}, which is no output")

    def _check_tier(
        self, id: str, wanted: Expected, told: dict[str, Any], before: Snapshot, force: bool
    ) -> None:
        tier, key = told["tier"], wanted.key
        self.counts[tier] += 1
        if tier != "full" and key not in self._built and self._is_sure:
            self._wrong(f"{id} took {tier}, but its action never ran: a stale hit")
        stood = (
            self._stands.get(id) == key
            and _below(before.files, wanted.outputs) == wanted.files
            and _directories(before, wanted.outputs) == wanted.directories
        )
        if not force and self._is_sure:
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


def replay(directory: Path, server: ForkServer, seed: int, done: list[Edit]) -> str | None:
    """Do the same things to the same workspace; return what was wrong."""
    shutil.rmtree(directory, ignore_errors=True)
    with World(directory, server, seed) as world:
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


def _difference(found: Entry | None, wanted: Entry) -> str:
    """Say how what was found differs from what was wanted."""
    if found is None:
        return "is missing"
    if (found.is_link, found.mode) != (wanted.is_link, wanted.mode):
        return f"is {found}, not {wanted}"
    old, new = (one.data.decode(errors="replace").splitlines() for one in (found, wanted))
    lines = difflib.unified_diff(old, new, "found", "wanted", n=0, lineterm="")
    return "\n".join(lines)


def _damage(blob: Path, how: str) -> None:
    if how == "delete":
        blob.unlink()
        return
    content = blob.read_bytes()
    blob.chmod(0o644)
    if how == "flip" and content:
        blob.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    else:
        blob.write_bytes(content[:-1])
    blob.chmod(0o444)


def _below(files: Files, outputs: tuple[str, ...]) -> Files:
    return {path: entry for path, entry in files.items() if _is_below(path, outputs)}


def _directories(snapshot: Snapshot, outputs: tuple[str, ...]) -> frozenset[str]:
    return frozenset(path for path in snapshot.directories if _is_below(path, outputs))


def _is_below(path: str, outputs: tuple[str, ...]) -> bool:
    for output in outputs:
        if "/*." in output:
            directory, _, ending = output.partition("/*")
            if path.endswith(ending) and path.rpartition("/")[0] == directory:
                return True
        else:
            plain = output.removesuffix("/**")
            if path == plain or path.startswith(f"{plain}/"):
                return True
    return False
