"""How the page is served: what a browser may load of it, keep of it, and do with it."""

from __future__ import annotations

import gzip
import re
import threading

import pytest
from tests.node.people import Answer, Around, Check, Node

from buildnet.node.web import pages
from buildnet.node.web.built import INDEX, PageFile, PageFileError, built_page

PAGE = built_page()
ASSETS = sorted(name for name in PAGE if name.startswith("assets/"))
SCRIPT = next(name for name in ASSETS if name.endswith(".js"))


def content(answer: Answer) -> bytes:
    return bytes(answer.messages[1]["body"])


@pytest.mark.parametrize(
    "path",
    ["/", "/login", "/ui", "/ui/", "/ui/builds", "/ui/builds/a1.b2/graph.svg", "/ui/index.html"],
)
def test_each_view_s_path_leads_to_the_index(check: Check, path: str) -> None:
    async def work(node: Node, around: Around) -> None:
        answer = await node.ask("GET", path, query="status=failed&to=%2Fui%2Fqueue")
        assert answer.status == 200
        assert content(answer) == PAGE[INDEX].content
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["cache-control"] == "no-cache"

    check(work)


def test_the_index_brings_nothing_of_its_own_and_nothing_from_elsewhere() -> None:
    text = PAGE[INDEX].content.decode()
    assert not re.search(r"//[a-z]|style=|<style|\bon[a-z]+=|<script>", text)
    loaded = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert loaded
    assert all(path.removeprefix("/ui/") in PAGE for path in loaded)


def test_the_first_view_waits_for_little() -> None:
    loaded = re.findall(r'"/ui/([^"]+\.js)"', PAGE[INDEX].content.decode())
    assert loaded
    assert sum(len(PAGE[name].packed or b"") for name in loaded) <= 120_000


@pytest.mark.parametrize("path", ["/", f"/ui/{SCRIPT}"])
def test_the_page_may_load_and_reach_its_own_node_alone(check: Check, path: str) -> None:
    async def work(node: Node, around: Around) -> None:
        said = (await node.ask("GET", path)).headers
        policy = dict(
            rule.strip().split(" ", 1) for rule in said["content-security-policy"].split(";")
        )
        assert policy.pop("img-src") == "'self' data: blob:"
        assert {"default-src", "base-uri", "form-action", "frame-ancestors"} == {
            name for name, sources in policy.items() if sources == "'none'"
        }
        assert {"script-src", "style-src", "font-src", "connect-src", "worker-src"} == {
            name for name, sources in policy.items() if sources == "'self'"
        }
        assert said["cross-origin-opener-policy"] == "same-origin"

    check(work)


@pytest.mark.parametrize("name", ASSETS)
def test_what_is_named_by_its_content_is_kept_for_good(check: Check, name: str) -> None:
    async def work(node: Node, around: Around) -> None:
        answer = await node.ask("GET", f"/ui/{name}")
        assert content(answer) == PAGE[name].content
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-type"] == PAGE[name].media_type

    check(work)


def test_other_files_are_asked_for_again(check: Check) -> None:
    async def work(node: Node, around: Around) -> None:
        answer = await node.ask("GET", "/ui/favicon.svg")
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["content-type"] == "image/svg+xml; charset=utf-8"

    check(work)


def test_who_takes_gzip_gets_it_under_another_tag(check: Check) -> None:
    async def work(node: Node, around: Around) -> None:
        plain = await node.ask("GET", f"/ui/{SCRIPT}")
        packed = await node.ask("GET", f"/ui/{SCRIPT}", {"accept-encoding": "br, gzip"})
        assert "content-encoding" not in plain.headers
        assert packed.headers["content-encoding"] == "gzip"
        assert gzip.decompress(content(packed)) == content(plain)
        assert plain.headers["vary"] == packed.headers["vary"] == "accept-encoding"
        assert plain.headers["etag"] != packed.headers["etag"]

    check(work)


def test_who_takes_no_gzip_gets_none(check: Check) -> None:
    async def work(node: Node, around: Around) -> None:
        answer = await node.ask("GET", f"/ui/{SCRIPT}", {"accept-encoding": "br, gzip;q=0"})
        assert "content-encoding" not in answer.headers
        assert content(answer) == PAGE[SCRIPT].content

    check(work)


def test_files_are_read_and_packed_where_nothing_waits_for_it(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[int] = set()

    def read() -> bytes:
        threads.add(threading.get_ident())
        return b"<html>"

    monkeypatch.setattr(pages, "built_page", lambda: {INDEX: PageFile(INDEX, read)})

    async def work(node: Node, around: Around) -> None:
        for _ in range(2):
            assert (await node.ask("GET", "/ui/queue")).status == 200
        assert len(threads) == 1
        assert threading.get_ident() not in threads

    check(work)


def test_it_is_packed_once_and_what_would_not_get_smaller_never() -> None:
    text = PageFile("assets/a-1.js", lambda: b"again and " * 100)
    assert text.packed is text.packed
    assert PageFile("assets/a-1.js", lambda: b"x").packed is None
    assert PageFile("assets/a-1.png", lambda: b"\0" * 1000).packed is None


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_who_has_a_file_is_told_so_and_its_headers_stay(check: Check, encoding: str) -> None:
    async def work(node: Node, around: Around) -> None:
        for path in ("/ui/queue", f"/ui/{SCRIPT}"):
            accepted = {"accept-encoding": encoding}
            first = await node.ask("GET", path, accepted)
            known = {**accepted, "if-none-match": first.headers["etag"]}
            again = await node.ask("GET", path, known)
            assert (again.status, content(again)) == (304, b"")
            kept = ("etag", "vary", "cache-control", "content-security-policy")
            for name in (*kept, "cross-origin-opener-policy"):
                assert again.headers[name] == first.headers[name]
            assert "content-encoding" not in again.headers

    check(work)


def test_the_head_of_a_file_is_told_alone(check: Check) -> None:
    async def work(node: Node, around: Around) -> None:
        whole, head = [await node.ask(method, f"/ui/{SCRIPT}") for method in ("GET", "HEAD")]
        assert head.headers == whole.headers
        assert content(head) == b""

    check(work)


@pytest.mark.parametrize(
    "path",
    [
        "/ui/assets/index-00000000.js",
        "/ui/assets/",
        "/ui/assets/../../built.py",
        "/ui/assets/..\\..\\built.py",
        "/ui/assets//etc/passwd",
    ],
)
def test_an_asset_that_is_not_there_is_told_not_to_be(check: Check, path: str) -> None:
    async def work(node: Node, around: Around) -> None:
        answer = await node.ask("GET", path)
        assert (answer.status, answer.body["code"]) == (404, "NOT_FOUND")

    check(work)


@pytest.mark.parametrize("path", ["/ui/../built.py", "/ui//etc/passwd", "/ui/static/index.html"])
def test_no_path_leads_to_other_files(check: Check, path: str) -> None:
    async def work(node: Node, around: Around) -> None:
        assert content(await node.ask("GET", path)) == PAGE[INDEX].content

    check(work)


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/ui/queue"), ("GET", "/uix"), ("GET", "/x")]
)
def test_nothing_else_opens_by_it(check: Check, method: str, path: str) -> None:
    async def work(node: Node, around: Around) -> None:
        assert (await node.ask(method, path)).status == 401

    check(work)


def test_a_type_that_nobody_knows_is_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match="not known"):
        PageFile("assets/tool.exe", bytes)


def test_a_file_that_can_not_be_read_is_told() -> None:
    def read() -> bytes:
        raise OSError(5, "Input/output error")

    with pytest.raises(PageFileError, match=r"assets/a-1\.js can't be read"):
        _ = PageFile("assets/a-1.js", read).tag
