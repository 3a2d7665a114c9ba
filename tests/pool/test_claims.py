"""Claims on packages: no two meet, nobody waits for ever, and who asked first goes first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from buildnet.pool.claims import Claim, Claims
from buildnet.pool.territory import sharing_files
from buildnet.pool.workspace import Package, Task

LAYOUTS = (object(), object())
PARTS = st.frozensets(st.sampled_from("abcdef"), min_size=1)
CLAIM = st.builds(
    Claim, st.sampled_from([*[LAYOUTS[0]] * 5, LAYOUTS[1]]), st.one_of(PARTS, PARTS, st.none())
)
STEP = st.one_of(
    CLAIM,
    st.tuples(st.just("give back"), st.integers(0, 9), PARTS),
    st.tuples(st.just("leave"), st.integers(0, 9)),
)


@given(steps=st.lists(STEP, max_size=30))
def test_no_two_hold_the_same_and_everybody_has_his_turn_in_the_order_of_asking(
    steps: list[object],
) -> None:
    claims: Claims[int] = Claims()
    asked: dict[int, Claim] = {}
    waiting: list[int] = []

    def given_to(granted: list[int]) -> None:
        for who in granted:
            before = waiting[: waiting.index(who)]
            ahead = [one for one in before if one not in granted and asked[one].meets(asked[who])]
            assert not ahead, "it went before one that asked first for some of the same"
        for who in granted:
            waiting.remove(who)

    for number, step in enumerate(steps):
        if isinstance(step, Claim):
            asked[number] = step
            free = claims.is_free(step)
            assert claims.ask(number, step) is free
            waiting += [] if free else [number]
        elif isinstance(step, tuple) and claims.held:
            holder = sorted(claims.held)[step[1] % len(claims.held)]
            granted = (
                claims.leave(holder) if step[0] == "leave" else claims.give_back(holder, step[2])
            )
            given_to(granted)
        holders = list(claims.held.values())
        for at, one in enumerate(holders):
            assert not any(one.meets(other) for other in holders[at + 1 :])
        assert claims.held or not waiting, "all wait and nobody works"
    while claims.held:
        given_to(claims.leave(min(claims.held)))
    assert not waiting
    assert not claims.in_use


def test_what_touches_other_packages_waits_for_nobody() -> None:
    claims: Claims[str] = Claims()
    layout = object()

    def of(*parts: str) -> Claim:
        return Claim(layout, frozenset(parts))

    assert claims.ask("first", of("core", "shop"))
    assert claims.ask("apart", of("docs"))
    assert not claims.ask("second", of("core", "admin"))
    assert not claims.ask("third", of("admin")), "the second asked first"
    assert claims.wanted("first") == {"core"}
    assert claims.wanted("apart") == frozenset()
    assert claims.give_back("first", {"core"}) == ["second"], "it waits for core alone"
    assert claims.leave("third") == []
    assert not claims.ask("hooks", Claim(layout, None))
    assert [claims.leave(who) for who in ("first", "apart", "second")] == [[], [], ["hooks"]]


def package(name: str, *outputs: str) -> Package:
    return Package(name, name, (), {"build": Task(name, "build", "x", name, outputs=outputs)})


def test_packages_share_files_where_a_pattern_of_one_may_match_what_another_makes() -> None:
    packages = [
        package("a", "a/dist/**", "a/dist2"),
        package("b", "b/*.js", "b/{x,y}/out"),
        package("c", "b/c/*.js"),
        package("d", "b/d/dist"),
        package("e", "e/*.js"),
    ]
    assert sharing_files({one.name: one for one in packages}) == {"b": frozenset("cd")}
    root = package("r", "*.js")
    everyone = sharing_files({one.name: one for one in [*packages, root]})
    assert everyone["r"] == frozenset("abcde")
