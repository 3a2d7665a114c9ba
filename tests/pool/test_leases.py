"""An owner's leases: never more than there is, whatever is asked in whichever order."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from buildnet.pool.leases import (
    CALLED_S,
    KEPT_S,
    RESERVED_S,
    Amount,
    CalledBack,
    Lease,
    LeaseBook,
    Refusal,
)

SMALL = Amount(1, 10)
HOLDER, OTHER = b"h" * 32, b"o" * 32
FIRST, SECOND = b"c" * 32, b"d" * 32


class Host:
    """Room for four commands and some memory."""

    def __init__(self) -> None:
        self.whole = Amount(4, 100, 50)
        self.taken: dict[bytes, Amount] = {}

    @property
    def free(self) -> Amount:
        return self.whole - Amount.sum(self.taken.values())

    def take(self, key: bytes, amount: Amount) -> bool:
        if key in self.taken or not amount.fits(self.free):
            return False
        self.taken[key] = amount
        return True

    def give_back(self, key: bytes) -> None:
        del self.taken[key]


def book() -> tuple[LeaseBook, Host]:
    host = Host()
    return LeaseBook(host), host


def asked(
    leases: LeaseBook,
    number: int = 1,
    amount: Amount = SMALL,
    *,
    term: int = 1,
    now: float = 0.0,
    coordinator: bytes = FIRST,
) -> Lease | Refusal:
    return leases.ask(
        bytes([number]) * 16,
        build="b",
        holder=HOLDER,
        coordinator=coordinator,
        term=term,
        amount=amount,
        now=now,
    )


def granted(leases: LeaseBook, number: int = 1, amount: Amount = SMALL) -> Lease:
    assert isinstance(asked(leases, number, amount), Lease)
    lease = leases.confirm(bytes([number]) * 16, FIRST, 0.0)
    assert lease is not None
    return lease


def test_what_is_confirmed_is_held_and_what_is_released_is_free_again() -> None:
    leases, host = book()
    lease = granted(leases, amount=Amount(3, 60, 10))
    assert leases.held(lease.id, HOLDER) == lease
    assert leases.held(lease.id, OTHER) is None
    assert leases.free == Amount(1, 40, 40)
    assert leases.release(lease.id, OTHER) is None
    assert leases.release(lease.id, HOLDER) == lease
    assert leases.free == host.whole
    assert leases.release(lease.id, HOLDER) is None


def test_no_more_is_given_than_there_is() -> None:
    leases, host = book()
    host.take(b"a command of its own", Amount(3))
    assert isinstance(asked(leases, 1), Lease)
    refusal = asked(leases, 2)
    assert isinstance(refusal, Refusal)
    assert refusal.free == Amount(0, 90, 50)


def test_a_reservation_lapses_unless_it_is_confirmed() -> None:
    leases, host = book()
    lease = asked(leases)
    assert isinstance(lease, Lease)
    assert leases.held(lease.id, HOLDER) is None
    assert leases.lapse(RESERVED_S) == []
    assert leases.confirm(lease.id, FIRST, RESERVED_S) is None
    assert leases.free == host.whole


def test_a_lease_lapses_unless_its_holder_renews_it() -> None:
    leases, host = book()
    lease = granted(leases)
    assert leases.renew(lease.id, HOLDER, 10.0)
    assert not leases.renew(lease.id, OTHER, 10.0)
    assert leases.lapse(KEPT_S) == []
    (lapsed,) = leases.lapse(10.0 + KEPT_S)
    assert lapsed.id == lease.id
    assert not leases.renew(lease.id, HOLDER, 10.0 + KEPT_S)
    assert leases.free == host.whole


def test_the_coordinator_of_a_former_term_gets_nothing() -> None:
    leases, _ = book()
    assert isinstance(asked(leases, 1, term=5), Lease)
    assert isinstance(asked(leases, 2, term=4), Refusal)
    assert isinstance(asked(leases, 3, term=6, coordinator=SECOND), Lease)


def test_only_who_reserved_confirms_or_cancels() -> None:
    leases, host = book()
    lease = asked(leases)
    assert isinstance(lease, Lease)
    assert leases.confirm(lease.id, SECOND, 0.0) is None
    assert leases.cancel(lease.id, SECOND) is None
    assert leases.cancel(lease.id, FIRST) == lease
    assert leases.free == host.whole
    lease = granted(leases)
    assert leases.cancel(lease.id, FIRST) is None  # a grant is the holder's


def test_asking_twice_is_asking_once() -> None:
    leases, _ = book()
    assert asked(leases) == asked(leases, now=1.0)
    assert len(leases.leases) == 1
    assert isinstance(asked(leases, amount=Amount(2)), Refusal)
    lease = leases.confirm(bytes([1]) * 16, FIRST, 1.0)
    assert leases.confirm(bytes([1]) * 16, FIRST, 1.5) == lease


def idle(lease: bytes) -> bool:
    return False


def busy(lease: bytes) -> bool:
    return True


def test_the_owners_own_commands_get_back_as_much_as_they_lack() -> None:
    leases, host = book()
    one, two = granted(leases, 1), granted(leases, 2)
    reservation = asked(leases, 3)
    assert leases.call_back(Amount(), idle, 0.0).asked == ()
    called = leases.call_back(Amount(1), idle, 0.0)
    assert (called.asked, called.ended) == ((), (reservation,))  # nobody has it yet
    assert leases.confirm(bytes([3]) * 16, FIRST, 0.0) is None
    called = leases.call_back(Amount(1), lambda lease: lease == two.id, 1.0)
    assert (called.asked, called.ended) == ((one,), ())  # nothing runs on it
    assert leases.call_back(Amount(1), busy, 1.0).asked == ()  # it comes
    assert leases.call_back(Amount(2), busy, 1.0).asked == (two,)
    # What runs, runs to its end; what does not goes soon, whatever its holder does.
    assert leases.call_back(Amount(2), busy, 1.0 + CALLED_S) == CalledBack()
    assert leases.call_back(Amount(2), lambda lease: lease == two.id, 1.0 + CALLED_S).ended == (
        one,
    )
    assert leases.held(two.id, HOLDER)
    assert leases.leases == (two,)
    assert host.taken.keys() == {two.id}


def test_what_is_not_needed_any_more_stays_lent() -> None:
    leases, _ = book()
    lease = granted(leases)
    assert leases.call_back(Amount(1), idle, 0.0).asked == (lease,)
    assert leases.call_back(Amount(), idle, CALLED_S) == CalledBack()
    assert leases.call_back(Amount(1), idle, CALLED_S).asked == (lease,)


def test_only_what_helps_is_called_back() -> None:
    leases, _ = book()
    granted(leases, 1, Amount(1))
    memory = granted(leases, 2, Amount(0, 50))
    assert leases.call_back(Amount(0, 10), idle, 0.0).asked == (memory,)


def test_nothing_and_less_than_nothing_is_no_lease() -> None:
    leases, _ = book()
    for amount in (Amount(), Amount(-1), Amount(1, -5)):
        assert isinstance(asked(leases, amount=amount), Refusal)


class TwoCoordinators(RuleBasedStateMachine):
    """Two coordinators, several builds and the host's own commands, in any order."""

    numbers = st.integers(0, 5)
    amounts = st.builds(Amount, st.integers(0, 4), st.integers(0, 60), st.integers(0, 50))

    def __init__(self) -> None:
        super().__init__()
        self.leases, self.host = book()
        self.now = 0.0

    @rule(
        number=numbers, amount=amounts, term=st.integers(0, 3), who=st.sampled_from([FIRST, SECOND])
    )
    def ask(self, number: int, amount: Amount, term: int, who: bytes) -> None:
        asked(self.leases, number, amount, term=term, now=self.now, coordinator=who)

    @rule(number=numbers, who=st.sampled_from([FIRST, SECOND]))
    def confirm(self, number: int, who: bytes) -> None:
        self.leases.confirm(bytes([number]) * 16, who, self.now)

    @rule(number=numbers, who=st.sampled_from([FIRST, SECOND]))
    def cancel(self, number: int, who: bytes) -> None:
        self.leases.cancel(bytes([number]) * 16, who)

    @rule(number=numbers)
    def renew(self, number: int) -> None:
        self.leases.renew(bytes([number]) * 16, HOLDER, self.now)

    @rule(number=numbers)
    def release(self, number: int) -> None:
        self.leases.release(bytes([number]) * 16, HOLDER)

    @rule(slots=st.integers(0, 4), works=st.sets(numbers))
    def call_back(self, slots: int, works: set[int]) -> None:
        self.leases.call_back(Amount(slots), lambda lease: lease[0] in works, self.now)

    @rule(slots=st.integers(1, 4))
    def own_command(self, slots: int) -> None:
        if not self.host.take(b"own", Amount(slots)) and b"own" in self.host.taken:
            self.host.give_back(b"own")

    @rule(seconds=st.sampled_from([0.5, RESERVED_S, KEPT_S]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.leases.lapse(self.now)

    @invariant()
    def never_more_than_there_is(self) -> None:
        assert self.host.free.slots >= 0
        assert self.host.free.memory_bytes >= 0
        assert self.host.free.disk_bytes >= 0

    @invariant()
    def what_is_taken_is_what_is_leased(self) -> None:
        leased = {each.id: each.amount for each in self.leases.leases}
        taken = {key: amount for key, amount in self.host.taken.items() if key != b"own"}
        assert leased == taken
        assert all(each.expires > self.now for each in self.leases.leases)


TwoCoordinators.TestCase.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
TestTwoCoordinators = TwoCoordinators.TestCase
