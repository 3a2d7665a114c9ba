"""The pool as the mesh sees it: states, links, and what a view says about itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from buildnet.mesh.events import Status
from buildnet.mesh.link.links import KEY_IN_USE, NOT_LINKED, OLDER_BOOT
from buildnet.mesh.service.service import HeldRecord
from buildnet.mesh.service.view import CounterView, FormerView, MeshView, OfficeView
from buildnet.pool.advertisement import Links, Load, Profile
from buildnet.pool.health import NOTHING_ASKED, health
from buildnet.pool.membership import (
    Reader,
    Words,
    completeness,
    connections,
    coordinator_of,
    member_state,
    node_problem,
    own_links,
    own_problem,
)
from buildnet.pool.resources import Utilization
from buildnet.pool.sealing import Sealing, sealing
from buildnet.pool.testing import NOON_S, member_view, mesh_view
from buildnet.pool.view import NodeState

ANNA, BERT, CARL = (name.encode() * 32 for name in "abc")
IDS = {key: key[:8].hex() for key in (ANNA, BERT, CARL)}
MEASURED = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
PROFILE = Profile(name="berta", role="worker", version="9", address="http://b:1", tags=("fast",))
LOAD = Load(
    actions_running=2,
    cores_in_use=3,
    utilization=Utilization(cpu_percent=50, measured_at=MEASURED),
    loop_lag_ms=7.0,
    age_s=2.0,
)


def three(**changes: object) -> MeshView:
    members = (member_view(ANNA, "anna"), member_view(BERT, "bert"), member_view(CARL, "carl"))
    return mesh_view(*members, me=ANNA, **changes)


def well(view: MeshView) -> Sealing:
    return sealing(view, {}, silence=None, waiting=None)


def state(key: bytes, age_s: float | None = 1.0) -> NodeState:
    return NodeState(IDS[key], key[:1].decode(), "online", "worker", None, None, age_s=age_s)


def all_states(**ages: float | None) -> dict[bytes, NodeState]:
    return {key: state(key, ages.get(key[:1].decode(), 1.0)) for key in IDS}


def lost(view: MeshView, *keys: bytes, status: Status = Status.DEAD) -> MeshView:
    members = tuple(
        replace(one, status=status, status_since=NOON_S - 300, link=None)
        if one.key in keys
        else one
        for one in view.members
    )
    return replace(view, members=members)


def held(body: bytes, version: int = 1, received: float = NOON_S - 10) -> HeldRecord:
    return HeldRecord(BERT, 1, version, body, received)


def test_words_are_read_once_and_age_by_our_clock() -> None:
    reader = Reader()
    records = {"profile": {BERT: held(PROFILE.encode())}, "load": {BERT: held(LOAD.encode())}}
    words = reader.words(BERT, records, NOON_S)
    assert words == Words(PROFILE, LOAD, None, profile_age_s=10.0, load_age_s=12.0)
    assert words.age_s == 12.0
    later = reader.words(BERT, records, NOON_S + 5)
    assert (later.profile is words.profile, later.age_s) == (True, 17.0)
    records["load"][BERT] = held(Load().encode(), version=2)
    assert reader.words(BERT, records, NOON_S).load == Load()


def test_a_record_that_is_nonsense_is_as_none_and_counted_once() -> None:
    reader = Reader()
    records = {"profile": {BERT: held(b"nonsense")}}
    for _ in range(3):
        assert reader.words(BERT, records, NOON_S).profile is None
    assert reader.unreadable == 1
    assert reader.words(CARL, records, NOON_S) == Words()


@pytest.mark.parametrize(
    ("status", "load", "shown"),
    [
        (Status.ALIVE, None, "online"),
        (Status.ALIVE, Load(), "online"),
        (Status.ALIVE, LOAD, "busy"),
        (Status.SUSPECT, LOAD, "suspect"),
        (Status.DEAD, LOAD, "offline"),
        (Status.LEFT, None, "left"),
    ],
)
def test_what_membership_believes_is_the_status(
    status: Status, load: Load | None, shown: str
) -> None:
    member = member_view(BERT, "bert", status=status)
    assert member_state(member, Words(PROFILE, load)).status == shown


def test_the_state_of_another_node() -> None:
    found = member_state(member_view(BERT, "bert"), Words(PROFILE, LOAD, None, 10.0, 12.0))
    assert found == NodeState(
        id=IDS[BERT],
        name="bert",
        status="busy",
        role="worker",
        rights="builder",
        version="9",
        address="http://b:1",
        measured_at=MEASURED,
        age_s=12.0,
        latency_ms=1.5,
        utilization=LOAD.utilization,
        actions_running=2,
        cores_in_use=3,
        tags=("fast",),
    )
    silent = member_state(member_view(BERT, "bert", round_trip_s=None), Words())
    assert (silent.name, silent.address, silent.age_s) == ("bert", "http://bert:80", None)
    assert silent.latency_ms is None


def test_who_coordinates() -> None:
    found = coordinator_of(three())
    assert found is not None
    assert (found.name, found.term, found.quorum) == ("anna", 4, True)
    assert coordinator_of(three(office=None)) is None
    alone = coordinator_of(mesh_view(member_view(ANNA, "anna"), me=ANNA))
    assert alone is not None
    assert (alone.name, alone.term, alone.quorum) == ("anna", 4, True)


def test_a_whole_view_says_so() -> None:
    seen = completeness(three(), all_states(b=4.26))
    assert (seen.reachable, seen.members, seen.oldest_age_s, seen.problem) == (3, 3, 4.3, None)


def test_a_partial_view_says_who_is_missing_since_when() -> None:
    seen = completeness(lost(three(), BERT, CARL), all_states(b=900.0))
    assert (seen.reachable, seen.oldest_age_s) == (1, 1.0)
    assert seen.problem == "1 of 3 nodes reachable since 11:55:00 UTC, not bert, carl"
    suspected = completeness(lost(three(), BERT, status=Status.SUSPECT), all_states())
    assert suspected.reachable == 2


def test_a_provisional_view_says_so() -> None:
    office = OfficeView(ANNA, 4, False, NOON_S, "provisional, 2 of 5 voters reachable since noon")
    assert completeness(three(office=office), all_states()).problem == office.summary
    nobody = completeness(three(office=None), all_states()).problem
    assert nobody == "no coordinator is known"


def test_a_view_that_is_old_or_empty_says_so() -> None:
    assert completeness(three(), all_states(b=None)).problem == "nothing is known yet of bert"
    stale = completeness(three(), all_states(c=100.0)).problem
    assert stale == "carl has told nothing new for 100 s"


def test_a_node_that_was_removed_says_so() -> None:
    view = replace(three(), me=b"d" * 32)
    problem = completeness(view, all_states()).problem
    assert problem is not None
    assert problem.startswith("this node is no member of home any more")
    assert "buildnet node leave" in problem


def test_a_node_whose_key_was_revoked_or_copied_says_so_and_what_to_do() -> None:
    view = replace(three(revoked=True), me=b"d" * 32)
    revoked = own_problem(view)
    assert revoked is not None
    assert revoked.startswith("this node's key was revoked in home")
    assert "move node.key away" in revoked
    assert own_problem(three()) is None
    noted = CounterView(KEY_IN_USE, 1, None, "http://bert:80", NOON_S - 50)
    copied = lost(three(counters=(noted,)), BERT, CARL)
    problem = own_problem(copied)
    assert problem is not None
    assert problem.startswith(f"another process uses this node's key ({copied.node_id})")
    assert "a key of its own" in problem
    assert "stop the copy" in problem
    assert "comes back by itself within two minutes" in problem
    assert own_problem(lost(three(counters=(noted,)), BERT)) is None  # it is back
    told = health(
        copied,
        all_states(),
        {},
        cluster={},
        coordinator=None,
        seen=completeness(copied, all_states()),
        sealing=well(copied),
    )
    assert problem in told["problems"][0]
    assert own_problem(replace(copied, at=NOON_S + 3600)) is None
    # One member alone says so: told where no other one is there.
    by_one = CounterView(NOT_LINKED, 1, None, f"http://bert:80: {OLDER_BOOT}", NOON_S - 50)
    assert own_problem(lost(three(counters=(by_one,)), BERT, CARL)) == problem
    assert own_problem(lost(three(counters=(by_one,)), BERT)) is None


def test_a_node_that_is_turned_away_everywhere_says_so() -> None:
    refusal = CounterView("link not made", 3, None, "http://bert:80: no member", NOON_S - 5)
    cut_off = lost(three(counters=(refusal,)), BERT, CARL)
    problem = completeness(cut_off, all_states()).problem
    assert problem is not None
    assert "answer that this one is no member" in problem
    linked = three(counters=(refusal,))
    assert completeness(linked, all_states()).problem is None
    refused = replace(refusal, last_detail="http://bert:80: Connection refused")
    assert "no member" not in str(
        completeness(replace(cut_off, counters=(refused,)), all_states()).problem
    )


@pytest.mark.parametrize(
    ("ending", "says"),
    [
        ("revoked", "key was revoked in home, for ever"),
        ("removed", "it was removed (buildnet node leave --force"),
        ("left", "it left (buildnet node leave --force"),
        ("rotated", "was replaced by a new one"),
        ("", "removed or revoked"),
    ],
)
def test_how_it_came_that_a_node_is_out_is_said_where_it_is_known(ending: str, says: str) -> None:
    out = replace(three(), turned_away=ending)
    assert own_problem(out) is None  # one alone says so
    problem = own_problem(lost(out, BERT, CARL))
    assert problem is not None
    assert says in problem


def test_a_cluster_that_can_not_be_opened_comes_first() -> None:
    out = replace(three(), not_opened="database or disk is full", revoked=True)
    problem = own_problem(out)
    assert problem is not None
    assert "in another cluster than home, whose state can't be opened yet" in problem
    assert "(database or disk is full)" in problem


def test_how_it_came_that_a_node_is_out_is_said_by_its_own_list() -> None:
    mine = b"d" * 32
    gone = FormerView(mine, "d", "dora", "worker", "admin", "removed", None)
    problem = own_problem(replace(three(), me=mine, former=(gone,)))
    assert problem is not None
    assert "any more: it was removed (buildnet node leave makes" in problem


@pytest.mark.parametrize(
    ("off_s", "says"),
    [
        (3600.0, "behind the others by about 60 min"),
        (7300.0, "behind the others by about 2 h"),
        (-400.0, "ahead of the others by about 7 min"),
        (None, None),
    ],
)
def test_a_wrong_clock_of_this_host_is_its_own_problem(
    off_s: float | None, says: str | None
) -> None:
    view, nodes = replace(three(), clock_off_s=off_s), all_states()
    seen = completeness(view, nodes)
    told = health(view, nodes, {}, cluster={}, coordinator=None, seen=seen, sealing=well(view))
    expected = [] if says is None else [f"this host's clock is {says}: set it"]
    assert told["problems"] == expected
    assert node_problem(view) == (expected[0] if expected else None)
    assert own_problem(view) is None


def test_a_former_member_is_named_too() -> None:
    counter = CounterView("refused: no member", 1, "d", "", NOON_S)
    gone = FormerView(b"d" * 32, "d", "dora", "worker", "admin", "revoked", None)
    view, nodes = replace(three(counters=(counter,)), former=(gone,)), all_states()
    seen = completeness(view, nodes)
    told = health(view, nodes, {}, cluster={}, coordinator=None, seen=seen, sealing=well(view))
    assert told["refused"][0]["last_name"] == "dora"


def test_a_cluster_of_one_is_complete() -> None:
    alone = mesh_view(member_view(ANNA, "anna"), me=ANNA, office=None)
    assert completeness(alone, all_states()).problem is None


def test_connections_are_what_either_side_measured_or_an_estimate() -> None:
    view = three()
    guess = replace(view.members[2], round_trip_measured=False, round_trip_s=0.02)
    view = replace(view, members=(*view.members[:2], guess))
    told = {BERT: Words(links=Links(round_trip_ms={IDS[ANNA]: 2.5})), CARL: Words()}
    estimates = {(ANNA, CARL): 0.02, (ANNA, BERT): 9.0}

    def estimate(one: bytes, other: bytes) -> float | None:
        return estimates.get((one, other))

    def found(view: MeshView) -> dict[tuple[str, str], tuple[float | None, bool]]:
        return {
            (one.from_node, one.to_node): (one.latency_ms, one.estimated)
            for one in connections(view, told, estimate, {})
        }

    assert found(view) == {
        (IDS[ANNA], IDS[BERT]): (2.0, False),
        (IDS[ANNA], IDS[CARL]): (20.0, True),
    }
    told[CARL] = Words(links=Links(round_trip_ms={IDS[BERT]: 7.0}))
    assert found(view)[IDS[BERT], IDS[CARL]] == (7.0, False)
    assert found(lost(view, CARL)).keys() == {(IDS[ANNA], IDS[BERT])}


def test_a_connection_tells_how_old_its_figure_is() -> None:
    view = three()
    guess = replace(view.members[2], round_trip_measured=False, round_trip_s=0.02)
    heard = replace(view.members[1], last_heard=view.at - 0.44)
    view = replace(view, members=(view.members[0], heard, guess))
    told = {
        BERT: Words(links=Links(round_trip_ms={IDS[ANNA]: 2.5, IDS[CARL]: 3.0}), links_age_s=9.0),
        CARL: Words(links=Links(round_trip_ms={IDS[BERT]: 3.0}), links_age_s=None),
    }
    ages = [
        (one.from_node, one.to_node, one.age_s)
        for one in connections(view, told, lambda one, other: 0.02, {})
    ]
    assert ages == [
        (IDS[ANNA], IDS[BERT], 0.4),
        (IDS[ANNA], IDS[CARL], None),
        (IDS[BERT], IDS[CARL], 9.0),
    ]


def test_a_node_tells_what_it_measured_itself() -> None:
    view = three()
    guess = replace(view.members[2], round_trip_measured=False)
    view = replace(view, members=(*view.members[:2], guess))
    links = own_links(view, {BERT: 940.0, b"left long ago": 5.0})
    assert links.round_trip_ms == {IDS[BERT]: 1.5}
    assert links.bandwidth_mbps == {IDS[BERT]: 940.0}


def test_a_connection_tells_the_bandwidth_that_one_of_its_ends_measured() -> None:
    told = {
        BERT: Words(links=Links(bandwidth_mbps={IDS[ANNA]: 300.0, IDS[CARL]: 80.0})),
        CARL: Words(links=Links(bandwidth_mbps={IDS[BERT]: 90.0})),
    }
    found = {
        (one.from_node, one.to_node): one.bandwidth_mbps
        for one in connections(three(), told, lambda one, other: 0.02, {BERT: 200.0})
    }
    assert found == {
        (IDS[ANNA], IDS[BERT]): 300.0,
        (IDS[ANNA], IDS[CARL]): None,
        (IDS[BERT], IDS[CARL]): 90.0,
    }


def test_health_says_what_is_wrong_and_what_was_refused() -> None:
    counter = CounterView("term too old", 3, IDS[BERT], "2 < 4", NOON_S - 30)
    view = lost(three(counters=(counter,), lag_p99_s=0.4), CARL)
    nodes = all_states()
    shown = health(
        view,
        nodes,
        {BERT: Words(load=LOAD)},
        cluster={"id": "c", "name": "home"},
        coordinator=coordinator_of(view),
        seen=completeness(view, nodes),
        sealing=well(view),
    )
    assert shown["healthy"] is False
    assert shown["problems"] == [
        "2 of 3 nodes reachable since 11:55:00 UTC, not carl",
        "this node's event loop runs 400 ms late: the host is saturated",
    ]
    assert shown["refused"] == [
        {
            "reason": "term too old",
            "count": 3,
            "last_peer": IDS[BERT],
            "last_name": "bert",
            "last_detail": "2 < 4",
            "last_age_s": 30.0,
            "harmless": False,
        }
    ]
    assert [one["coordinator"] for one in shown["nodes"]] == [True, False, False]
    assert [one["loop_lag_ms"] for one in shown["nodes"]] == [400.0, 7.0, None]
    assert [one["link"] is None for one in shown["nodes"]] == [False, False, True]


def test_the_field_names_of_health() -> None:
    view, nodes = three(), all_states()
    shown = health(
        view,
        nodes,
        {},
        cluster={"id": "c", "name": "home"},
        coordinator=coordinator_of(view),
        seen=completeness(view, nodes),
        sealing=well(view),
    )
    assert shown["healthy"] is True
    assert shown.keys() == {
        *("healthy", "problems", "node_id", "cluster", "coordinator", "quorum", "loop_lag_ms"),
        *("traffic", "nodes", "refused", "sealing"),
    }
    assert shown["quorum"].keys() == {
        *("state", "voters", "voters_reachable", "member_list_version", "epoch", "for_s"),
    }
    assert shown["quorum"]["for_s"] == 60.0
    assert shown["nodes"][1].keys() == {
        *("id", "name", "status", "role", "coordinator", "voter", "this_node", "last_heard_s"),
        "status_for_s",
        *("age_s", "latency_ms", "latency_estimated", "loop_lag_ms", "link", "reachable"),
    }
    assert shown["nodes"][1]["link"].keys() == {
        *("kind", "outgoing", "address", "relayed_by", "for_s", "bytes_sent", "bytes_received"),
        "queued",
    }


@pytest.mark.parametrize(
    ("reason", "detail", "harmless"),
    [
        ("link not made", "http://bert:80: not ready", True),
        ("link not made", "http://bert:80: older process or copied key", False),
        ("refused: linked already", "10.0.0.2:41772", True),
        ("transfer refused", "", True),
        (NOTHING_ASKED, "10.0.0.2", True),
        ("refused: no member", "10.0.0.2:41772", False),
        ("handshake: message altered", "10.0.0.2:41772", False),
    ],
)
def test_what_comes_up_at_every_restart_is_told_apart(
    reason: str, detail: str, harmless: bool
) -> None:
    counter = CounterView(reason, 9, None, detail, NOON_S - 5)
    view, nodes = three(counters=(counter,)), all_states()
    seen = completeness(view, nodes)
    told = health(view, nodes, {}, cluster={}, coordinator=None, seen=seen, sealing=well(view))
    assert (told["healthy"], told["refused"][0]["harmless"]) == (True, harmless)


@pytest.mark.parametrize(("age_s", "healthy"), [(5, False), (3600, True)])
def test_a_node_that_could_not_write_its_state_lately_is_not_healthy(
    age_s: float, healthy: bool
) -> None:
    counter = CounterView("state not written", 1, None, "no room", NOON_S - age_s)
    view, nodes = three(counters=(counter,)), all_states()
    seen = completeness(view, nodes)
    told = health(view, nodes, {}, cluster={}, coordinator=None, seen=seen, sealing=well(view))
    assert told["healthy"] is healthy
