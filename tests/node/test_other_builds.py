"""Builds of other nodes: who is asked, and what counts of what they say."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from buildnet.ledger.query import Query
from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError, NotFoundError
from buildnet.node import other_builds as module
from buildnet.node.auth.refusal import NotAllowedError
from buildnet.node.forwarding import Forwarded, ForwardError
from buildnet.node.other_builds import (
    BadRecordError,
    BuildElsewhereError,
    OtherBuild,
    OtherBuilds,
    Recorder,
)
from buildnet.node.others_words import MOST_OF_PART, MOST_VALUES
from buildnet.node.service import NodeService
from buildnet.pool.warrant import Warrant

ME, DRIVER, TAKER, FORMER = (bytes([number]) * 32 for number in range(1, 5))
BUILD = "b" * 32
RECORD: dict[str, Any] = {
    "build_id": BUILD,
    "workspace": "shop",
    "root": "/shop",
    "request": {
        "packages": [],
        "task": "build",
        "force": False,
        "dry_run": False,
        "keep_going": False,
        "local_only": False,
        "durable": False,
        "wait_s": None,
        "times": 1,
        "choice": None,
    },
    "status": "succeeded",
    "started_at": 1000.0,
    "completed_at": 1001.0,
    "duration_ms": 1000.0,
    "error": None,
    "triggered_by": "anna",
    "durable": None,
    "packages": [],
    "notices": None,
    "phases": None,
    "estimated_ms": None,
    "estimate": None,
    "estimate_error": None,
}
GRAPH = {"build_id": BUILD, "workspace": "shop", "complete": False, "tasks": []}


class Pool:
    """A node whose members answer as ``answers`` says, by key and path; others are not linked."""

    def __init__(self, directory: Path) -> None:
        self.answers: dict[tuple[bytes, str], Any] = {}
        self.asked: list[tuple[bytes, str]] = []
        self.entries: list[tuple[str, bytes]] = []
        self.warrants: dict[bytes, Warrant] = {}
        """What those show by whom an entry is."""
        self.queue: list[dict[str, Any]] = []
        members = [
            SimpleNamespace(key=key, node_id=key.hex()[:16], name=name, last_heard=990.0)
            for key, name in ((ME, "me"), (DRIVER, "driver"), (TAKER, "taker"))
        ]
        former = [SimpleNamespace(key=FORMER, name="former")]
        view = SimpleNamespace(
            members=members,
            former=former,
            at=1000.0,
            member=lambda key: next((one for one in members if one.key == key), None),
        )
        list_ = SimpleNamespace(current=lambda key: key, revoked=())
        local = SimpleNamespace(members=list_)
        self.store = SimpleNamespace(capacity_bytes=10**12)
        self.home = SimpleNamespace(others=directory / "kept")
        self.mesh = SimpleNamespace(key=ME, view=lambda: view, find=self.find)
        self.mesh.cluster = SimpleNamespace(local=local)
        self.pool = SimpleNamespace(view=lambda: view)
        self.access = SimpleNamespace(forwarding=self)
        store = SimpleNamespace(find=self.found)
        self.ledger = SimpleNamespace(open_now=SimpleNamespace(store=store))
        self.listed: tuple[str, tuple[bytes, ...]] | None = None
        self.pool_builds = self
        self.others = OtherBuilds(cast(NodeService, self))

    def find(self, node_id: str) -> Any:
        return next(one for one in self.mesh.view().members if one.node_id == node_id)

    async def meet(self, key: bytes) -> bool:
        return any(one == key for one, _ in self.answers)

    async def look(self, key: bytes, target: str, read: Callable[[Forwarded], Any]) -> Any:
        self.asked.append((key, target))
        answer = self.answers[key, target.removeprefix(f"/api/build/{BUILD}")]
        if isinstance(answer, BuildNetError):
            raise answer
        status, body = answer
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        return read(Forwarded(status, {}, text))

    async def drove(self, name: str) -> tuple[str, tuple[bytes, ...]] | None:
        return self.listed

    async def found(self, query: Query) -> Any:
        assert query.build == BUILD
        for kind, origin in self.entries:
            body = SimpleNamespace(type=kind, origin=origin)
            shown = self.warrants.get(origin)
            data = {} if shown is None else {"warrant": shown.encode().hex()}
            yield SimpleNamespace(entry=SimpleNamespace(body=body, data=data))

    def tells(self, key: bytes, **changes: Any) -> None:
        self.answers[key, ""] = (200, RECORD | changes)
        self.answers[key, "/graph"] = (200, GRAPH)


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pool:
    made = Pool(tmp_path)

    class Names:
        def __init__(self, *said: object) -> None:
            pass

        async def query(self, wanted: Any) -> Query:
            return Query(build=BUILD) if wanted.query.build else wanted.query

    async def queue() -> dict[str, Any]:
        return {"builds": made.queue}

    monkeypatch.setattr(module, "Names", Names)
    monkeypatch.setattr(module, "queue_of", lambda service: SimpleNamespace(view=queue))
    return made


def recorders(pool: Pool) -> Sequence[str]:
    return [one.name for one in asyncio.run(pool.others.find("bbbb")).recorders]


def test_of_what_the_ledger_has_forgotten_the_list_knows_who_drove_it(pool: Pool) -> None:
    pool.listed = (BUILD, (DRIVER, TAKER))
    assert recorders(pool) == ["driver", "taker"]
    pool.listed = (BUILD, (ME,))
    with pytest.raises(NotFoundError):
        recorders(pool)


def by(*keys: bytes) -> OtherBuild:
    names = {DRIVER: "driver", TAKER: "taker", FORMER: "former"}
    return OtherBuild(BUILD, tuple(Recorder(key, names[key]) for key in keys))


def test_who_drove_a_build_is_asked_and_nobody_who_says_so_later(pool: Pool) -> None:
    pool.entries = [
        ("build.started", DRIVER),
        ("build.started", TAKER),
        ("build.taken_over", FORMER),
    ]
    assert recorders(pool) == ["driver", "former"]
    pool.entries = [("build.started", ME)]
    with pytest.raises(NotFoundError):
        recorders(pool)
    pool.entries = [("build.started", ME), ("build.taken_over", TAKER)]
    assert recorders(pool) == ["taker"]


def test_a_member_that_was_granted_nothing_is_not_asked_even_where_the_driver_is_away(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Warrant(DRIVER, bytes(16))
    monkeypatch.setattr(sys.modules[__name__], "BUILD", asked.build)
    pool.warrants = {DRIVER: asked, TAKER: asked}
    pool.entries = [("build.started", DRIVER), ("build.taken_over", TAKER)]
    pool.tells(TAKER)
    assert recorders(pool) == ["driver"]
    with pytest.raises(BuildElsewhereError, match="driver"):
        asyncio.run(pool.others.record(asyncio.run(pool.others.find("bbbb"))))
    assert pool.asked == []


def test_a_build_that_the_ledger_does_not_have_yet_is_found_in_the_queue(pool: Pool) -> None:
    pool.queue = [{"build_id": BUILD, "node_id": DRIVER.hex()[:16]}]
    assert recorders(pool) == ["driver"]
    pool.queue.append({"build_id": "bbbb1", "node_id": TAKER.hex()[:16]})
    with pytest.raises(NotFoundError):
        recorders(pool)


def test_what_is_over_is_asked_for_once(pool: Pool) -> None:
    async def work() -> None:
        pool.tells(DRIVER)
        told = await pool.others.record(by(DRIVER))
        assert told.as_dict() == RECORD | {
            "recorded_on": {"node_id": DRIVER.hex()[:16], "name": "driver", "kept_at": None}
        } | {"request": told.data["request"]}
        assert len(pool.asked) == 2
        pool.answers.clear()
        kept = await pool.others.record(by(DRIVER))
        assert kept.kept_at is not None
        assert kept.data == told.data
        assert await pool.others.graph(by(DRIVER)) == GRAPH
        with pytest.raises(BuildElsewhereError):
            await pool.others.record(by(TAKER))  # what one said is not the other's word

    asyncio.run(work())


def test_what_still_runs_is_asked_for_each_time(pool: Pool) -> None:
    async def work() -> None:
        pool.tells(DRIVER, status="running")
        for _ in range(2):
            assert not (await pool.others.record(by(DRIVER))).is_over
        assert pool.asked == [(DRIVER, f"/api/build/{BUILD}")] * 2

    asyncio.run(work())


def test_who_went_on_with_a_build_has_the_word(pool: Pool) -> None:
    async def work() -> None:
        lost = {"state": "ended elsewhere", "node": "n", "node_name": None, "attempt": 1}
        pool.tells(DRIVER, durable=lost)
        both = by(DRIVER, TAKER)
        assert (await pool.others.record(both)).by.name == "driver"
        pool.tells(TAKER)
        assert (await pool.others.record(both)).by.name == "taker"

    asyncio.run(work())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"[" * 100_000,
        b'"text"',
        json.dumps(RECORD | {"build_id": "c" * 32}).encode(),
        json.dumps(RECORD | {"started_at": "1000"}).encode(),
        json.dumps(RECORD | {"started_at": float("nan")}).encode(),
        json.dumps(RECORD).replace("1001.0", "1e999").encode(),
        json.dumps(RECORD | {"packages": [{"name": 1}]}).encode(),
        json.dumps(RECORD | {"packages": None}).encode(),
        json.dumps(RECORD | {"packages": ["x"]}).encode(),
        json.dumps({name: RECORD[name] for name in list(RECORD)[1:]}).encode(),
        json.dumps(RECORD | {"more": [0] * MOST_OF_PART}).encode(),
        json.dumps(RECORD | {"request": {"packages": [{}] * MOST_OF_PART}}).encode(),
        json.dumps(RECORD | {"more": [{}] * MOST_VALUES}).encode(),
    ],
)
def test_what_makes_no_sense_is_refused_and_not_kept(pool: Pool, body: bytes) -> None:
    async def work() -> None:
        pool.answers = {(DRIVER, ""): (200, body), (DRIVER, "/graph"): (200, GRAPH)}
        with pytest.raises(BadRecordError, match="driver"):
            await pool.others.record(by(DRIVER))
        assert not list(pool.home.others.glob("*"))

    asyncio.run(work())


def test_what_kept_a_node_from_telling_is_said(pool: Pool) -> None:
    async def why(key: bytes, answer: Any = None) -> BuildNetError:
        pool.answers = {} if answer is None else {(key, ""): answer}
        with pytest.raises(BuildNetError) as caught:
            await pool.others.record(by(key))
        return caught.value

    async def work() -> None:
        lost = await why(DRIVER)
        assert (lost.code, lost.http_status) == ("BUILD_ELSEWHERE", 503)
        assert "driver" in lost.message
        assert lost.cause == "it was last heard of at 1970-01-01 00:16:30 UTC"
        assert f"buildnet ledger list --build {BUILD}" in (lost.hint or "")
        assert "no member any more" in (await why(FORMER)).message
        silent = await why(DRIVER, ForwardError("it does not answer", cause="for 20 s"))
        assert silent.cause == "it does not answer: for 20 s"
        gone = await why(DRIVER, (404, {"detail": "x"}))
        assert isinstance(gone, NotFoundError)
        assert "has no record of it any more" in gone.message
        refused = await why(DRIVER, (403, {"detail": "only\x1b look", "hint": "ask"}))
        assert isinstance(refused, NotAllowedError)
        assert (refused.message, refused.hint) == ("only  look", "ask")
        for body in (b"", b"[]", {"detail": 5}, {"title": "x"}):
            assert (await why(DRIVER, (401, body))).cause == "it gives no reason"

    asyncio.run(work())


def test_long_lists_that_an_answer_has_besides_harm_nothing(pool: Pool) -> None:
    async def work() -> None:
        pool.tells(DRIVER)
        pool.answers[DRIVER, "/graph"] = (200, GRAPH | {"packages": [{"name": 1}], "statements": 5})
        graph = await pool.others.graph(by(DRIVER))
        assert (graph["build_id"], graph["tasks"]) == (BUILD, [])

    asyncio.run(work())


def test_a_blob_that_this_node_has_no_room_for_is_not_fetched(pool: Pool) -> None:
    async def work() -> None:
        with pytest.raises(BadRecordError, match="driver"):
            await pool.others.bring(by(DRIVER), Digest("a" * 64, 10**14), "")

    asyncio.run(work())


def test_two_builds_are_compared_by_who_has_both(pool: Pool) -> None:
    def side(build: str) -> dict[str, Any]:
        return {"build_id": build, "workspace": "w", "status": "succeeded", "duration_ms": 1.0}

    async def work() -> None:
        other = OtherBuild("c" * 32, by(DRIVER).recorders)
        path = f"/api/builds/compare?before={BUILD}&after={other.id}"
        told = {"before": side(BUILD), "after": side(other.id), "tasks": []}
        pool.answers[DRIVER, path] = (200, told)
        assert await pool.others.compare(by(DRIVER), other) == told
        assert await pool.others.compare(by(TAKER), other) is None
        pool.answers[DRIVER, path] = (200, told | {"before": side("d" * 32)})
        assert await pool.others.compare(by(DRIVER), other) is None
        pool.answers[DRIVER, path] = (404, {})
        assert await pool.others.compare(by(DRIVER), other) is None

    asyncio.run(work())
