"""Who drives a build and who stands in, in every order of deaths, by chance."""

from __future__ import annotations

import pytest
from tests.pool.durable_world import A, B, C, D, World


@pytest.mark.parametrize("seed", range(100))
def test_a_durable_build_ends_whoever_dies_as_long_as_one_that_keeps_it_comes_back(
    seed: int,
) -> None:
    world = World(seed)
    chance = world.random
    while not world.was_durable:
        world.step()
    for _ in range(60):
        match chance.randrange(8):
            case 0:
                living = [host.key for host in world.hosts.values() if host.alive]
                if len(living) > 1:
                    world.kill(chance.choice(living))
            case 1 | 2:
                dead = [host.key for host in world.hosts.values() if not host.alive]
                if dead:
                    world.revive(chance.choice(dead))
            case 3:
                world.cut.add(frozenset(chance.sample(sorted(world.hosts), 2)))
            case 4:
                world.cut.clear()
        for _ in range(chance.randrange(1, 12)):
            world.step()
            if seed % 2 and chance.random() < 0.3:
                world.meddle()
    world.cut.clear()
    for host in world.hosts.values():
        if not host.alive:
            world.revive(host.key)
    for _ in range(400):
        world.step()
        if not world.drivers() and world.ends:
            break
    assert world.ends, "\n".join(world.log)
    attempts = [attempt for _, attempt in world.ends]
    assert len(attempts) == len(set(attempts)), (world.ends, world.log)
    for _ in range(60):  # peace: nobody drives it again
        world.step()
    assert world.drivers() == []
    assert [attempt for _, attempt in world.ends] == attempts, "\n".join(world.log)


@pytest.mark.parametrize("seed", range(30))
def test_two_that_hear_each_other_do_not_go_on_both(seed: int) -> None:
    world = World(seed)
    world.hosts[A].left = 10_000
    world.WORK = 10_000
    chance = world.random
    for _ in range(40):
        if chance.random() < 0.3:
            world.cut.add(frozenset((A, chance.choice([B, C, D]))))
        elif chance.random() < 0.3:
            world.cut.clear()
        for _ in range(chance.randrange(1, 20)):
            world.step()
    world.cut.clear()
    for _ in range(20):
        world.step()
    assert world.drivers() == [A], "\n".join(world.log[-40:])
