"""Sessions on the disk: they outlive the process, and what is over stays so."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.node.people import PAGE, Around, running

from buildnet.node.auth.session_store import SessionStore, SessionStoreError
from buildnet.node.auth.sessions import Ended


def test_sessions_outlive_the_process_and_no_secret_is_on_the_disk(tmp_path: Path) -> None:
    async def whole() -> None:
        around, path = Around(), tmp_path / "access.db"
        async with running(path, around) as node:
            browser, gone = await node.browser(account="anna"), await node.browser()
            await gone.ask("DELETE", "/api/session", gone.own())
            by_key = await node.ask("POST", "/api/session", {**PAGE, "authorization": "Bearer ci"})
            assert by_key.status == 201
        kept = b"".join(each.read_bytes() for each in tmp_path.iterdir())
        for secret in (browser.cookie, gone.cookie, by_key.cookie):
            assert secret.partition("=")[2].encode() not in kept
        assert path.stat().st_mode & 0o077 == 0
        async with running(path, around) as again:
            answer = await again.ask("GET", "/api/session", {"cookie": browser.cookie})
            assert answer.body["actor"] == "account:anna"
            for cookie in (gone.cookie, by_key.cookie):
                assert (await again.ask("GET", "/api/session", {"cookie": cookie})).status == 401
        around.now += 100
        async with running(path, around) as later:
            answer = await later.ask("GET", "/api/session", {"cookie": browser.cookie})
            assert answer.status == 401

    asyncio.run(asyncio.wait_for(whole(), 30))


def test_what_was_ended_while_a_request_of_it_came_does_not_come_back(tmp_path: Path) -> None:
    async def work() -> None:
        around = Around()
        async with running(tmp_path / "access.db", around) as node:
            browser = await node.browser(account="anna")
            (session,) = node.people.sessions.all()
            around.meanwhile = lambda: node.people.end(session.id, Ended.KICKED)
            assert (await browser.ask("GET", "/api/session")).status == 401
        async with running(tmp_path / "access.db", around) as node:
            assert node.people.sessions.all() == []

    asyncio.run(work())


def test_who_was_sent_away_while_the_disk_was_full_is_not_back_after_a_new_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(store: SessionStore, session_id: str) -> None:
        raise SessionStoreError("the disk is full")

    async def work() -> None:
        around = Around()
        async with running(tmp_path / "access.db", around) as node:
            await node.browser(account="anna")
            (session,) = node.people.sessions.all()
            with monkeypatch.context() as patch:
                patch.setattr(SessionStore, "remove", full)
                for work in (node.people.end(session.id, Ended.KICKED), node.people.look()):
                    with pytest.raises(SessionStoreError):
                        await work
            await node.people.look()
        async with running(tmp_path / "access.db", around) as node:
            assert node.people.sessions.all() == []

    asyncio.run(work())


def test_a_damaged_file_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    path = tmp_path / "access.db"
    path.write_bytes(b"nonsense" * 1000)
    with pytest.raises(SessionStoreError, match="can't be used"):
        asyncio.run(SessionStore.open(path))
