"""What may have changed, from events: by hand, and against a model of a file system."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from buildnet.node.watch.dirty import EVERYTHING, MOST_PATHS, Dirt, DirtySet, Event, Happened


def watching(**directories: int) -> DirtySet:
    dirty = DirtySet()
    dirty.watched("", 1)
    for directory, watch in directories.items():
        dirty.watched(directory.replace("_", "/"), watch)
    return dirty


def test_a_written_file_is_dirty_once() -> None:
    dirty = watching(src=2)
    assert dirty.take(Event(2, Happened.CHANGED, "a.ts")) == []
    dirty.take(Event(2, Happened.CHANGED, "a.ts"))
    assert dirty.drain() == Dirt(frozenset({"src/a.ts"}))
    assert not dirty.drain()


def test_a_directory_that_goes_takes_its_watches_with_it() -> None:
    dirty = watching(src=2, src_deep=3, srcs=4)
    assert sorted(dirty.take(Event(1, Happened.CAME_OR_WENT, "src"))) == [2, 3]
    assert dirty.is_watched("srcs")
    assert not dirty.is_watched("src/deep")
    dirty.take(Event(3, Happened.CHANGED, "late"))  # it waited in the queue
    assert dirty.drain() == Dirt(frozenset({"src"}))


def test_one_inode_with_two_paths_makes_both_dirty() -> None:
    dirty = watching(a=2)
    dirty.watched("b", 2)
    dirty.take(Event(2, Happened.CHANGED, "f"))
    assert dirty.drain() == Dirt(frozenset({"a/f", "b/f"}))
    assert dirty.take(Event(1, Happened.CAME_OR_WENT, "a")) == []  # b needs the watch
    assert dirty.take(Event(1, Happened.CAME_OR_WENT, "b")) == [2]


def test_lost_events_or_a_lost_root_make_everything_dirty() -> None:
    for event in (Event(-1, Happened.OVERFLOW), Event(1, Happened.GONE), Event(1, Happened.ITSELF)):
        dirty = watching()
        dirty.take(event)
        assert dirty.drain() == EVERYTHING


def test_a_watch_that_ended_is_not_ended_again() -> None:
    dirty = watching(src=2, src_deep=3)
    assert dirty.take(Event(2, Happened.ENDED)) == [3]
    assert dirty.drain() == Dirt(frozenset({"src"}))


def test_a_storm_is_bounded() -> None:
    dirty = watching()
    for number in range(MOST_PATHS + 1):
        dirty.take(Event(1, Happened.CAME_OR_WENT, str(number)))
    assert dirty.drain() == EVERYTHING


# The model: directories have inodes and are watched by them, events wait in a queue, and a reader
# keeps what it read until it is told otherwise.


@dataclass
class Directory:
    inode: int
    entries: dict[str, Directory | int] = field(default_factory=dict)


class Model:
    def __init__(self) -> None:
        self.root = Directory(1)
        self.inodes = 1
        self.content = 0
        self.queue: list[Event] = []
        self.watched: set[int] = set()
        self.dirty = DirtySet()
        self.known: dict[str, dict[str, int | None] | None] = {}

    # What somebody does

    def directories(self) -> list[tuple[str, Directory]]:
        found = [("", self.root)]
        for path, directory in found:
            for name, entry in directory.entries.items():
                if isinstance(entry, Directory):
                    found.append((f"{path}/{name}" if path else name, entry))
        return found

    def tell(self, directory: Directory, happened: Happened, name: str = "") -> None:
        if directory.inode in self.watched:
            self.queue.append(Event(directory.inode, happened, name))

    def gone(self, directory: Directory) -> None:
        for entry in directory.entries.values():
            if isinstance(entry, Directory):
                self.gone(entry)
        self.tell(directory, Happened.GONE)

    def act(self, what: str, where: int, name: str, other: int, other_name: str) -> None:
        every = self.directories()
        path, here = every[where % len(every)]
        entry = here.entries.get(name)
        if what == "write" and not isinstance(entry, Directory):
            self.content += 1
            here.entries[name] = self.content
            self.tell(here, Happened.CHANGED if entry else Happened.CAME_OR_WENT, name)
        elif what == "mkdir" and entry is None:
            self.inodes += 1
            here.entries[name] = Directory(self.inodes)
            self.tell(here, Happened.CAME_OR_WENT, name)
        elif what == "remove" and entry is not None:
            if isinstance(entry, Directory):
                self.gone(entry)
            del here.entries[name]
            self.tell(here, Happened.CAME_OR_WENT, name)
        elif what == "move" and entry is not None:
            moved = f"{path}/{name}" if path else name
            there_path, there = every[other % len(every)]
            if f"{there_path}/".startswith(f"{moved}/"):
                return
            replaced = there.entries.get(other_name)
            if isinstance(replaced, Directory) and (replaced.entries or entry is replaced):
                return
            del here.entries[name]
            there.entries[other_name] = entry
            self.tell(here, Happened.CAME_OR_WENT, name)
            self.tell(there, Happened.CAME_OR_WENT, other_name)
            if isinstance(entry, Directory):
                self.tell(entry, Happened.GONE)

    # What the node does

    def at(self, path: str) -> Directory | None:
        here: Directory | int | None = self.root
        for name in path.split("/") if path else ():
            here = here.entries.get(name) if isinstance(here, Directory) else None
        return here if isinstance(here, Directory) else None

    def take(self, count: int) -> None:
        for event in self.queue[:count]:
            self.watched -= set(self.dirty.take(event))
        del self.queue[:count]

    def read(self, path: str) -> None:
        if path in self.known:
            return
        names = path.split("/") if path else []
        for depth in range(len(names) + 1):
            above = "/".join(names[:depth])
            directory = self.at(above)
            if directory is None:
                break
            if not self.dirty.is_watched(above):
                self.watched.add(directory.inode)
                self.dirty.watched(above, directory.inode)
        self.known[path] = self.listing(path)

    def listing(self, path: str) -> dict[str, int | None] | None:
        directory = self.at(path)
        if directory is None:
            return None
        return {
            name: None if isinstance(entry, Directory) else entry
            for name, entry in directory.entries.items()
        }

    def refresh(self) -> None:
        self.take(len(self.queue))
        dirt = self.dirty.drain()
        assert not dirt.everything
        for path in dirt.paths:
            self.known.pop(path.rpartition("/")[0], None)
            for known in [one for one in self.known if f"{one}/".startswith(f"{path}/")]:
                del self.known[known]


NAMES = st.sampled_from("abc")
STEPS = st.one_of(
    st.tuples(
        st.sampled_from(["write", "mkdir", "mkdir", "remove", "move", "move"]),
        *(st.integers(0, 9), NAMES, st.integers(0, 9), NAMES),
    ),
    st.tuples(st.just("read"), st.lists(NAMES, max_size=4).map("/".join)),
    st.tuples(st.just("take"), st.integers(0, 3)),
    st.tuples(st.just("refresh")),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(STEPS, max_size=60))
def test_what_is_known_after_a_refresh_is_so(steps: list[tuple[object, ...]]) -> None:
    model = Model()
    for step in steps:
        match step:
            case ("read", str(path)):
                model.read(path)
            case ("take", int(count)):
                model.take(count)
            case ("refresh",):
                model.refresh()
            case (str(what), int(where), str(name), int(other), str(other_name)):
                model.act(what, where, name, other, other_name)
    model.refresh()
    for path, listing in model.known.items():
        assert listing == model.listing(path), path
