"""Proof of possession: one request, by its agent, once, now."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest

from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.identity import NodeKey
from buildnet.node.auth.caller import Caller
from buildnet.node.auth.key_credentials import KeyCredentials
from buildnet.node.auth.proof import MOST_NONCES, WINDOW_S, Proof, Proofs, Request, require_body
from buildnet.node.auth.proof_marks import AHEAD_S, ProofMarks
from buildnet.node.auth.refusal import ProofError
from buildnet.node.auth.register_file import KeysWriteError
from testbed.pool_keys import AGENT, NOW, SPARE, Pool, asking, claims, token

BOUND = token(bound=AGENT.public_key.hex())
BODY = b'{"root": "/w"}'
TIME = int(NOW.timestamp())
NONCE = "n" * 16
REQUEST = Request("POST", "/api/build?x=1", claims().id)


def proof(
    request: Request = REQUEST, *, by: NodeKey = AGENT, time: int = TIME, nonce: str = NONCE
) -> Proof:
    digest = hashlib.sha256(BODY).digest()
    return Proof.make(request, by.sign, time=time, nonce=nonce, body_sha256=digest)


def ask(kind: KeyCredentials, header: str | None) -> Caller | None:
    headers = {"authorization": f"Bearer {BOUND}"}
    if header is not None:
        headers["buildnet-proof"] = header
    path, _, query = REQUEST.target.partition("?")
    return asyncio.run(kind.caller(asking(headers, method="POST", path=path, query=query)))


def kind_of(pool: Pool) -> KeyCredentials:
    return KeyCredentials(pool.keys, clock=pool.clock, monotonic=pool.clock)


def test_a_proof_is_of_one_request_and_its_body() -> None:
    caller = ask(kind_of(Pool()), str(proof()))
    assert caller is not None
    assert caller.body_sha256 == hashlib.sha256(BODY).digest()
    require_body(caller.body_sha256, BODY)
    with pytest.raises(ProofError, match="does not count"):
        require_body(caller.body_sha256, BODY + b" ")


def test_a_proof_counts_once() -> None:
    kind = kind_of(Pool())
    ask(kind, str(proof()))
    with pytest.raises(ProofError) as caught:
        ask(kind, str(proof()))
    assert caught.value.cause == "it was used before"
    ask(kind, str(proof(nonce="m" * 16)))


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "v1",
        "v2" + str(proof())[2:],
        str(proof()) + " ",
        str(proof())[:-1],
        str(proof(by=SPARE)),
        str(proof(Request("GET", REQUEST.target, REQUEST.key))),
        str(proof(Request("POST", "/api/build", REQUEST.key))),
        str(proof(Request("POST", REQUEST.target, "f" * 16))),
        str(proof(time=TIME + int(WINDOW_S) + 1)),
        str(proof(time=TIME - 1)),  # before this node began
        str(proof()).replace(f" {TIME} ", f" {TIME + 1} "),
        str(proof()).replace(NONCE, "m" * 16),
        str(proof()).replace(hashlib.sha256(BODY).hexdigest(), "0" * 64),
    ],
)
def test_without_the_agent_s_proof_a_bound_key_does_not_count(header: str | None) -> None:
    with pytest.raises(BuildNetError) as caught:
        ask(kind_of(Pool()), header)
    assert caught.value.code == "KEY_PROOF"


def test_proofs_are_remembered_for_as_long_as_they_count_and_no_more_than_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    proofs, agent, key = Proofs(TIME), AGENT.public_key, REQUEST.key
    late = proof(time=TIME + 59)
    proofs.check(late, REQUEST, agent, TIME)
    proofs.remember(late, key, TIME)
    with pytest.raises(ProofError):
        proofs.check(late, REQUEST, agent, TIME + 59 + WINDOW_S)
    monkeypatch.setattr("buildnet.node.auth.proof.MOST_NONCES", 1)
    other = proof(time=TIME + 60, nonce="o" * 16)
    with pytest.raises(ProofError):
        proofs.remember(other, key, TIME + 60)
    proofs.remember(proof(time=TIME + 200, nonce="p" * 16), key, TIME + 200)
    assert MOST_NONCES > 1000


def test_a_proof_counts_once_though_the_node_starts_anew_and_the_agent_s_clock_is_ahead(
    tmp_path: Path,
) -> None:
    def kind(pool: Pool) -> KeyCredentials:
        marks = ProofMarks(tmp_path / "proofs.txt")
        return KeyCredentials(pool.keys, clock=pool.clock, monotonic=pool.clock, marks=marks)

    pool, caught = Pool(), str(proof(time=TIME + 30))
    node = kind(pool)
    ask(node, str(proof(nonce="right" * 4)))
    assert list(tmp_path.iterdir()) == []  # a clock that is right costs nothing
    ask(node, caught)
    ask(node, str(proof(time=TIME + 31, nonce="m" * 16)))  # while it runs nobody waits
    (kept,) = tmp_path.iterdir()
    assert (kept.stat().st_mode & 0o777, kept.read_text()) == (
        0o600,
        f"{REQUEST.key} {TIME + 30 + AHEAD_S}\n",
    )
    pool.clock.now += 2
    for _ in range(2):  # also when it starts anew again
        node = kind(pool)
        with pytest.raises(ProofError) as refused:
            ask(node, caught)
        assert refused.value.cause == "it may have been used before this node started anew"
    ask(node, str(proof(time=TIME + 30 + AHEAD_S + 1, nonce="later" * 4)))
    kept.write_text("nonsense\n")
    with pytest.raises(ProofError):  # nothing is known, so nothing counts for a minute
        ask(kind(pool), str(proof(time=TIME + 40, nonce="o" * 16)))


def test_a_proof_of_which_nothing_can_be_kept_does_not_count(tmp_path: Path) -> None:
    marks = ProofMarks(tmp_path / "none" / "proofs.txt")
    pool = Pool()
    kind = KeyCredentials(pool.keys, clock=pool.clock, monotonic=pool.clock, marks=marks)
    with pytest.raises(KeysWriteError):
        ask(kind, str(proof(time=TIME + 30)))
    ask(kind, str(proof(nonce="right" * 4)))


def test_marks_are_bounded_and_forgotten_once_they_say_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("buildnet.node.auth.proof_marks.MOST_KEYS", 2)

    async def work() -> None:
        marks = ProofMarks(tmp_path / "proofs.txt")
        for key in ("a" * 16, "b" * 16):
            await marks.keep(key, 110, 100.0)
        with pytest.raises(KeysWriteError):
            await marks.keep("c" * 16, 110, 100.0)
        await marks.keep("c" * 16, 210, 200.0)
        assert ProofMarks(tmp_path / "proofs.txt").before == {"c" * 16: 210 + AHEAD_S}

    asyncio.run(work())


def test_who_asks_too_often_leaves_room_for_the_proofs_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("buildnet.node.auth.proof.MOST_NONCES", 110)
    kind, refused = kind_of(Pool()), list[str]()
    for number in range(200):  # a hundred may come at once
        try:
            ask(kind, str(proof(nonce=f"{number:016}")))
        except BuildNetError as error:
            refused.append(error.code)
    assert refused == ["TOO_MANY_REQUESTS"] * 100
