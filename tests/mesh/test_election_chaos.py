"""Elections under random harm: never two coordinators of one term, and one once it is calm."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildnet.mesh.election.testing import NAMES, Network, calm, disturb


@given(
    seed=st.integers(0, 2**32),
    size=st.integers(2, 7),
    voters=st.integers(0, 7),
    disk_s=st.sampled_from([0.001, 0.02, 0.3]),
)
@settings(max_examples=60, deadline=None)
def test_any_harm_then_calm(seed: int, size: int, voters: int, disk_s: float) -> None:
    names = NAMES[:size]
    chosen = names if voters == 0 else random.Random(seed).sample(names, min(voters, size))
    network = Network(names, voters="".join(chosen), seed=seed, disk_s=disk_s)
    disturb(network, 15)  # the network looks at each office
    calm(network)
    network.run(1.0)
    assert network.run_until(network.agree, 10.0) <= 6.0
    assert network.agree(), network.views()
    network.run(5.0)
    assert network.agree(), network.views()


@pytest.mark.parametrize("size", [3, 5])
def test_on_a_lossy_slow_network_one_coordinator_stays(size: int) -> None:
    """50 ms round trips; losses show as late packets, as they do over TCP."""
    for seed in range(5):
        network = Network(NAMES[:size], seed=seed, delay_s=0.025, jitter_s=0.2)
        network.settle()
        network.run(40.0)  # by then a steady higher rank has got the office
        terms = len(network.granted)
        network.run(60.0)
        assert network.agree()
        assert len(network.granted) == terms


@pytest.mark.parametrize("seed", range(10))
def test_crashes_during_elections(seed: int) -> None:
    """Whoever is about to win dies, and forgets what was not yet on its disk."""
    network = Network("abcde", seed=seed, disk_s=0.02)
    network.settle()
    for _ in range(10):
        for node in network.awake():
            office = node.core.office
            if office is not None and office.coordinator == node.local.key:
                network.kill(node.name)
                break
        network.run(network.random.uniform(0.0, 0.1))
        victim = network.random.choice([node.name for node in network.awake()])
        network.kill(victim)
        network.run(network.random.uniform(0.0, 0.05))
        calm(network)
        network.run(network.random.uniform(0.0, 2.0))
    network.settle()
