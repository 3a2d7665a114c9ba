"""Which proofs of an agent whose clock is ahead may have counted before this node started anew.

A node remembers the proofs that it took for as long as it runs. One that is dated after the next
start would count again then, so of each key is kept, before such a proof counts, up to when those
may be dated: one line a key, ``ID TIME``. Agents whose clock is right need nothing kept.
"""

from __future__ import annotations

import asyncio
import logging
import re
from pathlib import Path

from buildnet.node.auth.register_file import KeysWriteError, write_private

AHEAD_S = 5
"""So much more than what is needed is kept at once, to write the less often. After a start an agent
whose clock is ahead waits so long at most."""
MOST_KEYS = 4096
_LINE = re.compile(r"([0-9a-f]{16}) ([0-9]{1,12})")
_log = logging.getLogger("buildnet.node")


class ProofMarks:
    """Those in the file at ``path``. ``before``: of each key, up to when proofs (seconds since
    1970) may have counted with the node that ran before; None: that can't be read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turn = asyncio.Lock()
        self.before = _read(path)
        self._marks = dict(self.before or {})

    async def keep(self, key: str, time: int, now: float) -> None:
        """Have on the disk that a proof of a key, dated at ``time``, counts now; return at once if
        that is clear without.

        Raises:
            KeysWriteError: it can't be kept.
        """
        if time <= now:
            return
        async with self._turn:
            if time <= self._marks.get(key, 0):
                return
            marks = {name: mark for name, mark in self._marks.items() if mark > now}
            marks[key] = time + AHEAD_S
            if len(marks) > MOST_KEYS:
                raise KeysWriteError(
                    "there is no room to remember the proofs of more agents",
                    hint="set the clocks of agents that are ahead of that of this host",
                )
            text = "".join(f"{name} {mark}\n" for name, mark in sorted(marks.items()))
            await asyncio.to_thread(write_private, self._path, text.encode())
            self._marks = marks


def _read(path: Path) -> dict[str, int] | None:
    try:
        lines = path.read_text("ascii").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        _log.warning("%s can't be read, so agents wait for a minute: %s", path, error)
        return None
    found = [_LINE.fullmatch(line) for line in lines]
    if len(lines) > MOST_KEYS or not all(found):
        _log.warning("%s is damaged, so agents wait for a minute", path)
        return None
    return {each[1]: int(each[2]) for each in found if each is not None}
