"""Messages of durable builds: what is read of them."""

from __future__ import annotations

import pytest

from buildnet.mesh.wire import MAX_COUNTER, WireError
from buildnet.pool.demand import Orders
from buildnet.pool.messages.durable import BuildTold, Driven
from buildnet.pool.messages.lending import WireOrders


@pytest.mark.parametrize("attempt", [(1 << 32) + 1, MAX_COUNTER])
def test_a_number_that_nobody_could_go_above_is_not_read(attempt: int) -> None:
    driven = Driven("b", attempt, WireOrders.of(Orders()), 0)
    for message in (BuildTold("b", attempt, "driving", None), driven):
        with pytest.raises(WireError, match="attempt"):
            type(message).decode(message.encode())
