"""What goes wrong in a run: each fault begins, lasts, and ends; all of them end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from buildnet.mesh.simulation.network import Path

if TYPE_CHECKING:
    from buildnet.mesh.simulation.host import Host
    from buildnet.mesh.simulation.world import World


@dataclass(frozen=True, slots=True)
class Fault(ABC):
    """Something that goes wrong at ``start`` (virtual seconds) for ``seconds``."""

    start: float
    seconds: float

    @abstractmethod
    def begin(self, world: World) -> bool:
        """Let it go wrong. False: it makes no difference now, and has no end."""

    def end(self, world: World) -> None:  # noqa: B027 (what is for good has no end)
        """Put it right again."""

    def __str__(self) -> str:
        named = ", ".join(
            f"{name}={_plain(getattr(self, name))}"
            for name in self.__dataclass_fields__
            if name not in ("start", "seconds")
        )
        return f"{type(self).__name__}({named}) for {self.seconds:.2f} s"


def _plain(value: object) -> str:
    if isinstance(value, tuple):
        return "{" + " ".join(f"n{item}" for item in value) + "}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True, slots=True)
class Partition(Fault):
    """``side`` and the rest hear nothing of each other; with ``one_way`` the rest hears nothing
    of ``side``."""

    side: tuple[int, ...]
    one_way: bool = False

    def begin(self, world: World) -> bool:
        for path in self._paths(world):
            world.network.block(path)
        return True

    def end(self, world: World) -> None:
        for path in self._paths(world):
            world.network.unblock(path)

    def _paths(self, world: World) -> Iterator[Path]:
        rest = [host.index for host in world.hosts[: world.size] if host.index not in self.side]
        for one in self.side:
            for other in rest:
                yield world.network.path(one, other)
                if not self.one_way:
                    yield world.network.path(other, one)


@dataclass(frozen=True, slots=True)
class Cut(Fault):
    """The path between two hosts is cut, all others stand: no partition, but no full mesh."""

    one: int
    other: int

    def begin(self, world: World) -> bool:
        world.network.block(world.network.path(self.one, self.other))
        world.network.block(world.network.path(self.other, self.one))
        return True

    def end(self, world: World) -> None:
        world.network.unblock(world.network.path(self.one, self.other))
        world.network.unblock(world.network.path(self.other, self.one))


@dataclass(frozen=True, slots=True)
class Drop(Fault):
    """A box on the way ends the link of two hosts; both notice."""

    one: int
    other: int

    def begin(self, world: World) -> bool:
        one, other = world.hosts[self.one], world.hosts[self.other]
        end = one.links.get(other.key)
        if end is None or not end.open:
            return False
        far = end.other
        one.gave_up(end, "reset")
        far.host.gave_up(far, "reset")
        return True


@dataclass(frozen=True, slots=True)
class Delay(Fault):
    """Everything to and from a host takes up to ``most_s`` longer, each packet for itself, so what
    it says over two links arrives in any order."""

    node: int
    most_s: float

    def begin(self, world: World) -> bool:
        for path in _paths_of(world, self.node):
            path.extra_s += self.most_s
        return True

    def end(self, world: World) -> None:
        for path in _paths_of(world, self.node):
            path.extra_s = max(0.0, path.extra_s - self.most_s)


@dataclass(frozen=True, slots=True)
class Loss(Fault):
    """A share of all packets to and from a host is lost and sent again later."""

    node: int
    share: float

    def begin(self, world: World) -> bool:
        for path in _paths_of(world, self.node):
            path.loss += self.share
        return True

    def end(self, world: World) -> None:
        for path in _paths_of(world, self.node):
            path.loss = max(0.0, path.loss - self.share)


@dataclass(frozen=True, slots=True)
class Clog(Fault):
    """What a host says, or hears, squeezes through a few bytes per second."""

    node: int
    bytes_per_s: float

    def begin(self, world: World) -> bool:
        for path in _paths_of(world, self.node):
            world.network.clog(path, self.bytes_per_s)
        return True

    def end(self, world: World) -> None:
        for path in _paths_of(world, self.node):
            world.network.clog(path, None)


@dataclass(frozen=True, slots=True)
class Duplicate(Fault):
    """A share of all messages arrives twice."""

    share: float

    def begin(self, world: World) -> bool:
        world.network.duplicates = self.share
        return True

    def end(self, world: World) -> None:
        world.network.duplicates = 0.0


@dataclass(frozen=True, slots=True)
class ClockJump(Fault):
    """A host's wall clock jumps, forward or back."""

    node: int
    jump_s: float

    def begin(self, world: World) -> bool:
        world.hosts[self.node].wall_offset_ms += round(self.jump_s * 1000)
        return True

    def end(self, world: World) -> None:
        world.hosts[self.node].wall_offset_ms -= round(self.jump_s * 1000)


@dataclass(frozen=True, slots=True)
class Pause(Fault):
    """A process is stopped as by SIGSTOP: its links stay, what it is told waits."""

    node: int

    def begin(self, world: World) -> bool:
        host = world.hosts[self.node]
        if not host.works:
            return False
        host.pause()
        return True

    def end(self, world: World) -> None:
        world.hosts[self.node].resume()


@dataclass(frozen=True, slots=True)
class Crash(Fault):
    """A process ends without a word and is started again; ``dark``: its computer loses power, so
    not even its kernel says that it is gone."""

    node: int
    dark: bool = False

    def begin(self, world: World) -> bool:
        return _kill(world.hosts[self.node], dark=self.dark)

    def end(self, world: World) -> None:
        _start(world.hosts[self.node])


@dataclass(frozen=True, slots=True)
class Outage(Fault):
    """Many processes end at the same moment and are started again one after another."""

    nodes: tuple[int, ...]
    dark: bool

    def begin(self, world: World) -> bool:
        for index in self.nodes:
            _kill(world.hosts[index], dark=self.dark)
        return True

    def end(self, world: World) -> None:
        for place, index in enumerate(self.nodes):
            world.timeline.after(0.02 * place, _start, world.hosts[index])


@dataclass(frozen=True, slots=True)
class SlowDisk(Fault):
    """A host's disk takes ``slowness`` times as long."""

    node: int
    slowness: float

    def begin(self, world: World) -> bool:
        world.hosts[self.node].disk.slowness = self.slowness
        return True

    def end(self, world: World) -> None:
        world.hosts[self.node].disk.slowness = 1.0


@dataclass(frozen=True, slots=True)
class Unreachable(Fault):
    """A host behind NAT: it dials, but nobody can dial it, for as long as the run lasts."""

    node: int

    def begin(self, world: World) -> bool:
        world.hosts[self.node].natted = True
        return True


@dataclass(frozen=True, slots=True)
class CoordinatorStops(Fault):
    """Whoever coordinates at that moment is killed, or frozen, and comes back."""

    frozen: bool

    def begin(self, world: World) -> bool:
        host = world.coordinator()
        if host is None:
            return False
        world.struck[self.start] = host
        if self.frozen:
            host.pause()
        else:
            host.kill()
        return True

    def end(self, world: World) -> None:
        host = world.struck.pop(self.start)
        if self.frozen:
            host.resume()
        else:
            _start(host)


def _paths_of(world: World, node: int) -> Iterator[Path]:
    for host in world.hosts[: world.size]:
        if host.index != node:
            yield world.network.path(node, host.index)
            yield world.network.path(host.index, node)


def _kill(host: Host, *, dark: bool) -> bool:
    if not host.runs:
        return False
    host.kill(dark=dark)
    return True


def _start(host: Host) -> None:
    if not host.runs and not host.retired:
        host.start()
